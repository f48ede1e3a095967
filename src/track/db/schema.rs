//! The tables of `.cvops/tracking.db`, as migrations. Forward only: a migration that was released is
//! never changed. Imports: nothing of ours.
//!
//! **Runs.** A run has a number (its rowid: details refer to it, and it tells the order in which runs
//! began) and an id (what the outside sees). `lifecycle_stage` is MLflow's soft delete. Metrics and
//! params carry two names: `file` and `key` say where a value of the pipeline stands, `name` is the
//! one flat name that clients of MLflow see: the key, or `file:key` where another file of the run
//! has the key already. What clients log has no file.
//!
//! **Metrics.** `metrics` holds the last value of each metric of a run, with the run's experiment, so
//! that the best runs of an experiment are found in the index alone; `points` the history of those
//! that come value by value, each point once; `curves` the histories that come whole, once each under
//! the hash of their points (`curve.rs` has the form). SQLite has no NaN: `metrics.value` is NULL
//! then, a point says that it `is_number` or not: histories have NaN before all numbers.
//!
//! **Params.** `value` is the text that clients see. `typed` tells texts (0) from other values, which
//! are JSON (1).
//!
//! **Artifacts.** `artifacts` are outputs of stages, `artifact_files` what clients uploaded, by its
//! path below `mlflow-artifacts:/`. Bytes are in the cache.
//!
//! **Forwarding.** `forward_targets` says from which run on a server gets all runs, `forwards` which
//! run it is there and how much of it was sent (`forwards.rs` has the meaning of the marks).

/// All migrations, oldest first.
pub(super) const MIGRATIONS: &[&str] = &[FIRST, CURVES, MLFLOW];

const FIRST: &str = "
    CREATE TABLE experiments (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        lifecycle_stage TEXT NOT NULL DEFAULT 'active',
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL
    );
    INSERT INTO experiments (id, name, created_ms, updated_ms) VALUES (0, 'Default', 0, 0);
    CREATE TABLE locks (
        id INTEGER PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        text TEXT NOT NULL
    );
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        experiment INTEGER NOT NULL REFERENCES experiments (id),
        name TEXT NOT NULL,
        parent TEXT,
        status TEXT NOT NULL,
        lifecycle_stage TEXT NOT NULL DEFAULT 'active',
        deleted_ms INTEGER,
        started_ms INTEGER NOT NULL,
        ended_ms INTEGER,
        command TEXT NOT NULL,
        targets TEXT NOT NULL,
        git_commit TEXT,
        git_branch TEXT,
        git_dirty INTEGER,
        owner TEXT,
        lock INTEGER REFERENCES locks (id)
    );
    CREATE INDEX runs_by_name ON runs (name);
    CREATE INDEX runs_by_experiment ON runs (experiment, number);
    CREATE INDEX runs_by_parent ON runs (parent, number) WHERE parent IS NOT NULL;
    CREATE INDEX runs_by_lock ON runs (lock) WHERE lock IS NOT NULL;
    CREATE INDEX runs_going_on ON runs (status) WHERE status = 'RUNNING';
    CREATE TABLE params (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        file TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (run, file, key)
    ) WITHOUT ROWID;
    CREATE TABLE metrics (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        file TEXT NOT NULL,
        key TEXT NOT NULL,
        value REAL,
        step INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        UNIQUE (run, file, key)
    );
    CREATE TABLE points (
        metric INTEGER NOT NULL REFERENCES metrics (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        value REAL
    );
    CREATE INDEX points_of_metric ON points (metric, step);
    CREATE TABLE tags (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (run, key)
    ) WITHOUT ROWID;
    CREATE TABLE artifacts (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        path TEXT NOT NULL,
        object TEXT NOT NULL,
        size INTEGER NOT NULL,
        files INTEGER,
        stage TEXT NOT NULL,
        PRIMARY KEY (run, path)
    ) WITHOUT ROWID;
    CREATE TABLE stages (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        name TEXT NOT NULL,
        place INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        took_ms INTEGER NOT NULL,
        message TEXT,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
";

const CURVES: &str = "
    CREATE TABLE curves (
        id INTEGER PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        points BLOB NOT NULL
    );
    ALTER TABLE metrics ADD COLUMN curve INTEGER REFERENCES curves (id);
    CREATE INDEX metrics_by_curve ON metrics (curve) WHERE curve IS NOT NULL;
";

const MLFLOW: &str = "
    ALTER TABLE experiments ADD COLUMN artifact_location TEXT;
    CREATE TABLE experiment_tags (
        experiment INTEGER NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (experiment, key)
    ) WITHOUT ROWID;

    ALTER TABLE runs ADD COLUMN user TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN artifact_uri TEXT;
    DROP INDEX runs_by_experiment;
    CREATE INDEX runs_newest ON runs (experiment, lifecycle_stage, started_ms DESC, id);
    CREATE INDEX runs_of_all ON runs (lifecycle_stage, started_ms DESC, number DESC);
    INSERT OR IGNORE INTO tags (run, key, value) SELECT number, 'mlflow.runName', name FROM runs;
    INSERT OR IGNORE INTO tags (run, key, value)
        SELECT number, 'mlflow.parentRunId', parent FROM runs WHERE parent IS NOT NULL;
    INSERT OR IGNORE INTO tags (run, key, value)
        SELECT number, 'mlflow.source.git.commit', git_commit FROM runs WHERE git_commit IS NOT NULL;
    INSERT OR IGNORE INTO tags (run, key, value)
        SELECT number, 'mlflow.source.git.branch', git_branch FROM runs WHERE git_branch IS NOT NULL;
    INSERT OR IGNORE INTO tags (run, key, value)
        SELECT number, 'mlflow.source.name', command FROM runs WHERE command <> '';

    ALTER TABLE params RENAME TO old_params;
    CREATE TABLE params (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        name TEXT NOT NULL,
        file TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        typed INTEGER NOT NULL,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID;
    INSERT OR IGNORE INTO params (run, name, file, key, value, typed)
        SELECT run, CASE WHEN file IN ('', 'params.yaml') THEN key ELSE file || ':' || key END,
               file, key,
               CASE WHEN value GLOB '\"*' THEN json_extract(value, '$') ELSE value END,
               NOT value GLOB '\"*'
        FROM old_params ORDER BY run, file <> 'params.yaml', file, key;
    DROP TABLE old_params;

    ALTER TABLE metrics RENAME TO old_metrics;
    ALTER TABLE points RENAME TO old_points;
    DROP INDEX metrics_by_curve;
    DROP INDEX points_of_metric;
    CREATE TABLE metrics (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        experiment INTEGER NOT NULL,
        name TEXT NOT NULL,
        file TEXT NOT NULL,
        key TEXT NOT NULL,
        value REAL,
        step INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        curve INTEGER REFERENCES curves (id),
        UNIQUE (run, name)
    );
    CREATE INDEX metrics_by_value ON metrics (experiment, name, value);
    CREATE INDEX metrics_by_curve ON metrics (curve) WHERE curve IS NOT NULL;
    INSERT OR IGNORE INTO metrics (id, run, experiment, name, file, key, value, step, at_ms, curve)
        SELECT m.id, m.run, r.experiment,
               CASE WHEN m.key <> '' AND row_number() OVER (
                        PARTITION BY m.run, m.key
                        ORDER BY m.file GLOB '*.jsonl' OR m.file GLOB '*.ndjson'
                              OR m.file GLOB '*.csv' OR m.file GLOB '*.tsv', m.file) = 1
                    THEN m.key ELSE m.file || ':' || m.key END,
               m.file, m.key, m.value, m.step, m.at_ms, m.curve
        FROM old_metrics m JOIN runs r ON r.number = m.run;
    CREATE TABLE points (
        metric INTEGER NOT NULL,
        step INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        is_number INTEGER NOT NULL,
        value REAL NOT NULL,
        PRIMARY KEY (metric, at_ms, step, is_number, value)
    ) WITHOUT ROWID;
    INSERT OR IGNORE INTO points (metric, step, at_ms, is_number, value)
        SELECT metric, step, at_ms, value IS NOT NULL, coalesce(value, 0) FROM old_points;
    CREATE TRIGGER points_go AFTER DELETE ON metrics
        BEGIN DELETE FROM points WHERE metric = old.id; END;
    DROP TABLE old_points;
    DROP TABLE old_metrics;

    CREATE TABLE artifact_files (
        path TEXT PRIMARY KEY,
        object TEXT NOT NULL,
        size INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE datasets (
        id INTEGER PRIMARY KEY,
        experiment INTEGER NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        source_type TEXT NOT NULL,
        source TEXT NOT NULL,
        schema TEXT,
        profile TEXT,
        UNIQUE (experiment, name, digest)
    );
    CREATE TABLE inputs (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        dataset INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
        place INTEGER NOT NULL,
        PRIMARY KEY (run, dataset)
    ) WITHOUT ROWID;
    CREATE INDEX inputs_of_dataset ON inputs (dataset);
    CREATE TABLE input_tags (
        run INTEGER NOT NULL,
        dataset INTEGER NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (run, dataset, key),
        FOREIGN KEY (run, dataset) REFERENCES inputs (run, dataset) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE TABLE model_inputs (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        model TEXT NOT NULL,
        PRIMARY KEY (run, model)
    ) WITHOUT ROWID;
    CREATE TABLE model_outputs (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        model TEXT NOT NULL,
        step INTEGER NOT NULL,
        PRIMARY KEY (run, model)
    ) WITHOUT ROWID;

    CREATE TABLE logged_models (
        id TEXT PRIMARY KEY,
        experiment INTEGER NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        artifact_uri TEXT NOT NULL,
        status TEXT NOT NULL,
        status_message TEXT,
        model_type TEXT,
        source_run TEXT,
        lifecycle_stage TEXT NOT NULL DEFAULT 'active',
        deleted_ms INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX logged_models_newest
        ON logged_models (experiment, lifecycle_stage, created_ms DESC, id);
    CREATE INDEX logged_models_by_run ON logged_models (source_run) WHERE source_run IS NOT NULL;
    CREATE TABLE logged_model_tags (
        model TEXT NOT NULL REFERENCES logged_models (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (model, key)
    ) WITHOUT ROWID;
    CREATE TABLE logged_model_params (
        model TEXT NOT NULL REFERENCES logged_models (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (model, key)
    ) WITHOUT ROWID;
    CREATE TABLE logged_model_metrics (
        model TEXT NOT NULL REFERENCES logged_models (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        dataset_name TEXT NOT NULL,
        dataset_digest TEXT NOT NULL,
        run TEXT NOT NULL,
        value REAL,
        step INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (model, name, dataset_name, dataset_digest, run)
    ) WITHOUT ROWID;

    CREATE TABLE registered_models (
        name TEXT PRIMARY KEY,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        description TEXT,
        last_version INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE registered_model_tags (
        model TEXT NOT NULL REFERENCES registered_models (name)
            ON DELETE CASCADE ON UPDATE CASCADE,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (model, key)
    ) WITHOUT ROWID;
    CREATE TABLE model_versions (
        model TEXT NOT NULL REFERENCES registered_models (name)
            ON DELETE CASCADE ON UPDATE CASCADE,
        version INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        description TEXT,
        source TEXT NOT NULL,
        storage TEXT NOT NULL,
        run TEXT,
        run_link TEXT,
        logged_model TEXT,
        status TEXT NOT NULL DEFAULT 'READY',
        stage TEXT NOT NULL DEFAULT 'None',
        PRIMARY KEY (model, version)
    ) WITHOUT ROWID;
    CREATE INDEX model_versions_by_run ON model_versions (run) WHERE run IS NOT NULL;
    CREATE INDEX model_versions_by_logged_model
        ON model_versions (logged_model) WHERE logged_model IS NOT NULL;
    CREATE TABLE model_version_tags (
        model TEXT NOT NULL,
        version INTEGER NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (model, version, key),
        FOREIGN KEY (model, version) REFERENCES model_versions (model, version)
            ON DELETE CASCADE ON UPDATE CASCADE
    ) WITHOUT ROWID;
    CREATE TABLE aliases (
        model TEXT NOT NULL REFERENCES registered_models (name)
            ON DELETE CASCADE ON UPDATE CASCADE,
        alias TEXT NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY (model, alias),
        FOREIGN KEY (model, version) REFERENCES model_versions (model, version)
            ON DELETE CASCADE ON UPDATE CASCADE
    ) WITHOUT ROWID;

    CREATE TABLE users (
        name TEXT PRIMARY KEY,
        password TEXT,
        role TEXT NOT NULL,
        created_ms INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE tokens (
        hash BLOB PRIMARY KEY,
        user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
        label TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER
    ) WITHOUT ROWID;

    CREATE TABLE forward_targets (
        uri TEXT PRIMARY KEY,
        after INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE forwards (
        run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        uri TEXT NOT NULL,
        remote_run TEXT NOT NULL,
        remote_experiment TEXT NOT NULL,
        remote_artifacts TEXT NOT NULL,
        sent TEXT NOT NULL DEFAULT '',
        done INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (run, uri)
    ) WITHOUT ROWID;
    CREATE TABLE forward_metrics (
        run INTEGER NOT NULL,
        uri TEXT NOT NULL,
        name TEXT NOT NULL,
        print TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        earlier INTEGER NOT NULL,
        PRIMARY KEY (run, uri, name),
        FOREIGN KEY (run, uri) REFERENCES forwards (run, uri) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE TABLE forward_files (
        run INTEGER NOT NULL,
        uri TEXT NOT NULL,
        path TEXT NOT NULL,
        object TEXT NOT NULL,
        PRIMARY KEY (run, uri, path),
        FOREIGN KEY (run, uri) REFERENCES forwards (run, uri) ON DELETE CASCADE
    ) WITHOUT ROWID;
";
