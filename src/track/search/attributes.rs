//! What each search knows: the attributes of runs, experiments, registered models, model versions and
//! logged models, what else their filters name, and how a client is told that it is not known.
//! Imports: nothing of ours.

use std::fmt::Debug;

/// What the key of a comparison belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::track) enum Entity {
    Metric,
    Param,
    Tag,
    Attribute,
    Dataset,
}

impl Entity {
    /// MLflow's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Param => "parameter",
            Self::Tag => "tag",
            Self::Attribute => "attribute",
            Self::Dataset => "dataset",
        }
    }
}

/// Where the name of an attribute can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::track) enum Use {
    /// In filters and orders.
    Both,
    /// In orders only.
    Order,
}

/// What a search knows, and how it speaks.
pub(in crate::track) struct Rules {
    pub(super) entities: &'static [(&'static str, Entity)],
    pub(super) unknown_entity: fn(&str) -> String,
    /// What can be asked for being there.
    pub(super) presence: &'static [Entity],
    pub(super) not_of_presence: fn(Entity, &str) -> String,
    /// Can every text be compared with a list, or only the attributes that say so?
    pub(super) lists: Lists,
    pub(super) text_expected: &'static str,
    pub(super) unknown_order: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::track) enum Lists {
    Everywhere,
    OfSomeAttributes,
}

/// The attributes of what is searched.
pub(in crate::track) trait Attribute: Copy + Debug + PartialEq + 'static {
    const NAMES: &'static [(&'static str, Self, Use)];
    const RULES: Rules;
    /// Is it a number, or a text?
    fn is_number(self) -> bool;
    /// Can it be compared with a list?
    fn takes_list(self) -> bool;
}

/// What runs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::track) enum RunAttribute {
    Id,
    Name,
    User,
    Status,
    ArtifactUri,
    Started,
    Ended,
}

impl Attribute for RunAttribute {
    const NAMES: &'static [(&'static str, Self, Use)] = &[
        ("Created", Self::Started, Use::Both),
        ("Run Name", Self::Name, Use::Both),
        ("Run name", Self::Name, Use::Both),
        ("artifact_uri", Self::ArtifactUri, Use::Both),
        ("created", Self::Started, Use::Both),
        ("end_time", Self::Ended, Use::Both),
        ("run name", Self::Name, Use::Both),
        ("run_id", Self::Id, Use::Both),
        ("run_name", Self::Name, Use::Both),
        ("start_time", Self::Started, Use::Both),
        ("status", Self::Status, Use::Both),
        ("user_id", Self::User, Use::Both),
    ];
    const RULES: Rules = Rules {
        entities: &[
            ("metric", Entity::Metric),
            ("metrics", Entity::Metric),
            ("parameter", Entity::Param),
            ("parameters", Entity::Param),
            ("param", Entity::Param),
            ("params", Entity::Param),
            ("tag", Entity::Tag),
            ("tags", Entity::Tag),
            ("attribute", Entity::Attribute),
            ("attributes", Entity::Attribute),
            ("attr", Entity::Attribute),
            ("run", Entity::Attribute),
            ("dataset", Entity::Dataset),
            ("datasets", Entity::Dataset),
        ],
        unknown_entity: |entity| {
            format!(
                "Invalid entity type '{entity}'. Valid values are ['metric', 'parameter', 'tag', \
                 'attribute', 'dataset']"
            )
        },
        presence: &[Entity::Param, Entity::Tag],
        not_of_presence: |entity, key| {
            format!(
                "IS NULL / IS NOT NULL is only supported for tags and params, not for '{}' '{key}'",
                entity.word()
            )
        },
        lists: Lists::OfSomeAttributes,
        text_expected: "Expected a quoted string value for attributes.",
        unknown_order: "Invalid attribute key",
    };

    fn is_number(self) -> bool {
        matches!(self, Self::Started | Self::Ended)
    }

    fn takes_list(self) -> bool {
        self == Self::Id
    }
}

const REGISTRY_ENTITIES: &[(&str, Entity)] = &[
    ("attribute", Entity::Attribute),
    ("tag", Entity::Tag),
    ("tags", Entity::Tag),
];

fn unknown_entity(entity: &str) -> String {
    format!("Invalid entity type '{entity}'. Valid entity types are ('attribute', 'tag', 'tags')")
}

/// What experiments have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::track) enum ExperimentAttribute {
    Id,
    Name,
    Created,
    Updated,
}

impl Attribute for ExperimentAttribute {
    const NAMES: &'static [(&'static str, Self, Use)] = &[
        ("creation_time", Self::Created, Use::Both),
        ("experiment_id", Self::Id, Use::Both),
        ("last_update_time", Self::Updated, Use::Both),
        ("name", Self::Name, Use::Both),
    ];
    const RULES: Rules = Rules {
        entities: REGISTRY_ENTITIES,
        unknown_entity,
        presence: &[Entity::Tag],
        not_of_presence: |entity, key| {
            format!(
                "IS NULL / IS NOT NULL is only supported for tags, not for {} '{key}'",
                entity.word()
            )
        },
        lists: Lists::OfSomeAttributes,
        text_expected: "Expected a quoted string value for attributes.",
        unknown_order: "Invalid attribute key",
    };

    fn is_number(self) -> bool {
        matches!(self, Self::Created | Self::Updated)
    }

    fn takes_list(self) -> bool {
        self == Self::Id
    }
}

const REGISTRY_RULES: Rules = Rules {
    entities: REGISTRY_ENTITIES,
    unknown_entity,
    presence: &[],
    not_of_presence: |_, _| "Invalid comparison clause. Expected 3 tokens found 2".to_owned(),
    lists: Lists::OfSomeAttributes,
    text_expected: "Expected a quoted string value or a list of quoted string values for attributes.",
    unknown_order: "Invalid order by key",
};

/// What registered models have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::track) enum ModelAttribute {
    Name,
    Created,
    Updated,
}

impl Attribute for ModelAttribute {
    // `timestamp` is what MLflow 1 called the time of the last change, and 3 still takes it for that.
    const NAMES: &'static [(&'static str, Self, Use)] = &[
        ("creation_timestamp", Self::Created, Use::Order),
        ("last_updated_timestamp", Self::Updated, Use::Order),
        ("name", Self::Name, Use::Both),
        ("timestamp", Self::Updated, Use::Order),
    ];
    const RULES: Rules = REGISTRY_RULES;

    fn is_number(self) -> bool {
        matches!(self, Self::Created | Self::Updated)
    }

    fn takes_list(self) -> bool {
        self == Self::Name
    }
}

/// What model versions have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::track) enum VersionAttribute {
    Name,
    Number,
    Run,
    Source,
    Created,
    Updated,
}

impl Attribute for VersionAttribute {
    const NAMES: &'static [(&'static str, Self, Use)] = &[
        ("creation_timestamp", Self::Created, Use::Order),
        ("last_updated_timestamp", Self::Updated, Use::Order),
        ("name", Self::Name, Use::Both),
        ("run_id", Self::Run, Use::Both),
        ("source_path", Self::Source, Use::Both),
        ("version_number", Self::Number, Use::Both),
    ];
    const RULES: Rules = REGISTRY_RULES;

    fn is_number(self) -> bool {
        matches!(self, Self::Number | Self::Created | Self::Updated)
    }

    fn takes_list(self) -> bool {
        matches!(self, Self::Name | Self::Run)
    }
}

/// What logged models have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::track) enum LoggedModelAttribute {
    Id,
    Name,
    Kind,
    Status,
    SourceRun,
    Created,
    Updated,
}

impl Attribute for LoggedModelAttribute {
    const NAMES: &'static [(&'static str, Self, Use)] = &[
        ("creation_time", Self::Created, Use::Both),
        ("creation_timestamp", Self::Created, Use::Both),
        ("creation_timestamp_ms", Self::Created, Use::Both),
        ("last_updated_time", Self::Updated, Use::Both),
        ("last_updated_timestamp", Self::Updated, Use::Both),
        ("last_updated_timestamp_ms", Self::Updated, Use::Both),
        ("model_id", Self::Id, Use::Both),
        ("model_type", Self::Kind, Use::Both),
        ("name", Self::Name, Use::Both),
        ("source_run_id", Self::SourceRun, Use::Both),
        ("status", Self::Status, Use::Both),
    ];
    const RULES: Rules = Rules {
        entities: &[
            ("attributes", Entity::Attribute),
            ("metrics", Entity::Metric),
            ("params", Entity::Param),
            ("tags", Entity::Tag),
        ],
        unknown_entity: |entity| {
            format!(
                "Invalid entity type: '{entity}'. Expected one of ['attributes', 'metrics', \
                 'params', 'tags']."
            )
        },
        presence: &[],
        not_of_presence: |_, _| {
            "Invalid comparison. Expected a comparison with 3 tokens.".to_owned()
        },
        lists: Lists::Everywhere,
        text_expected: "Expected a quoted string value for attributes.",
        unknown_order: "Invalid order by field name",
    };

    fn is_number(self) -> bool {
        matches!(self, Self::Created | Self::Updated)
    }

    fn takes_list(self) -> bool {
        !self.is_number()
    }
}
