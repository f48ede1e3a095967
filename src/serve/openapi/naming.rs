//! How a path names the version of a model. The routes of a model are described once, for paths that name
//! no version; here they are described again for each way to name one. Imports: utoipa.

use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::{Object, OpenApi as Document, RefOr, Required, Type};

/// A part of a path that says which version of a model is meant: `/versions/{version}`.
pub(super) struct Naming {
    segment: &'static str,
    placeholder: &'static str,
    about: &'static str,
}

/// By its version.
pub(super) const VERSION: Naming = Naming {
    segment: "versions",
    placeholder: "version",
    about: "The version, of those in memory",
};

/// By an alias.
pub(super) const LABEL: Naming = Naming {
    segment: "labels",
    placeholder: "label",
    about: "An alias of the registry",
};

/// Adds to each route in `document` whose path begins with `model` those that name a version after it.
pub(super) fn add(document: &mut Document, model: &str, namings: &[Naming]) {
    let paths = &mut document.paths.paths;
    let of_model: Vec<(String, PathItem)> = paths
        .iter()
        .filter_map(|(path, item)| Some((path.strip_prefix(model)?.to_owned(), item.clone())))
        .collect();
    for naming in namings {
        let Naming {
            segment,
            placeholder,
            ..
        } = naming;
        for (rest, item) in &of_model {
            let mut item = item.clone();
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                naming.describe(operation);
            }
            paths.insert(format!("{model}/{segment}/{{{placeholder}}}{rest}"), item);
        }
    }
}

impl Naming {
    /// Says what an operation is when the version is named.
    fn describe(&self, operation: &mut Operation) {
        let placeholder = self.placeholder;
        if let Some(id) = &mut operation.operation_id {
            *id = format!("{placeholder}_{id}");
        }
        if let Some(summary) = &mut operation.summary {
            *summary = format!("{summary} (by {placeholder})");
        }
        let parameter = ParameterBuilder::new()
            .name(placeholder)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(self.about))
            .schema(Some(Object::with_type(Type::String)))
            .build();
        let parameters = operation.parameters.get_or_insert_default();
        // After the name of the model, which comes first.
        let place = parameters.len().min(1);
        parameters.insert(place, RefOr::T(parameter));
    }
}
