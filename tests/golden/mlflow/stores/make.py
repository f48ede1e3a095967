"""Makes the stores of MLflow that tests/it/exchange.rs imports: with the real MLflow, as users have
them. Usage: python make.py OUT KIND, KIND is `file` or `sqlite`. The README says how they were made.

Ids of runs and times differ from call to call; names and values do not.
"""

import math
import os
import pathlib
import shutil
import sqlite3
import sys

out, kind = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
shutil.rmtree(out, ignore_errors=True)
out.mkdir(parents=True)
os.chdir(out)
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["USER"] = os.environ["LOGNAME"] = "ada"

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

major = int(mlflow.__version__.split(".")[0])
uri = "mlruns" if kind == "file" else "sqlite:///mlflow.db"
mlflow.set_tracking_uri(uri)
mlflow.set_registry_uri(uri)
client = MlflowClient(tracking_uri=uri, registry_uri=uri)
# Tags of the source would name the machine.
os.environ["MLFLOW_RUN_CONTEXT"] = "{}"
T0 = 1_700_000_000_000


def run(experiment, name, start, tags=None):
    tags = {"mlflow.user": "ada", "mlflow.source.name": "train.py", **(tags or {})}
    return client.create_run(experiment, start_time=T0 + start, tags=tags, run_name=name).info.run_id


pets = client.create_experiment("pets/cats & dogs", tags={"team": "vision", "mlflow.note.content": "Über *Katzen*\n\nzwei Absätze"})
other = client.create_experiment("thrown away")

best = run(pets, "brave crane", 0, {"note": 'lines\nand "quotes" and \\', "日本": "語 🦆"})
client.log_batch(
    best,
    metrics=[Metric("loss", 2.0 / 2**i, T0 + 1000 * i, i) for i in range(5)]
    + [
        Metric("odd/nan", math.nan, T0 + 1, 0),
        Metric("odd/inf", math.inf, T0 + 1, 0),
        Metric("odd/-inf", -math.inf, T0 + 1, 0),
        Metric("tiny", 5e-324, T0 + 1, 0),
        Metric("third", 1 / 3, T0 + 1, -3),
        # Two values of one step, and the later clock with the lower step.
        Metric("back", 1.0, T0 + 9, 7),
        Metric("back", 2.0, T0 + 5, 7),
        Metric("back", 3.0, T0 + 99, 6),
    ],
    params=[Param("train.lr", "0.1"), Param("opt/name", "sgd ü"), Param("empty", ""), Param("lines", "a\nb"), Param("long", "x" * 400)],
    tags=[RunTag("odd key/with.dots", "v")],
)
pathlib.Path("w").mkdir()
pathlib.Path("w/weights.bin").write_bytes(bytes(range(256)))
pathlib.Path("w/notes ü.txt").write_text("hello\n")
client.log_artifacts(best, "w", "model")
client.log_artifact(best, "w/notes ü.txt")
data = mlflow.data.from_numpy(__import__("numpy").arange(6).reshape(3, 2), name="faces", digest="abc123")
from mlflow.entities import DatasetInput, InputTag

client.log_inputs(best, [DatasetInput(data._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")])])
client.set_terminated(best, "FINISHED", T0 + 60_000)

child = run(pets, "child", 70_000, {"mlflow.parentRunId": best})
client.log_param(child, "train.lr", "0.2")
client.log_metric(child, "loss", 0.5, T0 + 71_000, 0)
client.set_terminated(child, "FAILED", T0 + 80_000)

gone = run(pets, "gone", 90_000)
client.log_metric(gone, "loss", 9, T0 + 91_000, 0)
client.set_terminated(gone, "KILLED", T0 + 92_000)
client.delete_run(gone)

client.set_terminated(run("0", "in default", 100_000), "FINISHED", T0 + 101_000)
client.log_param(run("0", "goes on", 110_000), "a", "1")
client.set_terminated(run(other, "of the deleted", 120_000), "FINISHED", T0 + 121_000)
client.delete_experiment(other)

client.create_registered_model("pet-classifier", tags={"task": "classify"}, description="Which pet?")
source = client.get_run(best).info.artifact_uri + "/model"
for n in range(2):
    client.create_model_version("pet-classifier", source, best, tags={"n": str(n)}, description=f"try {n}")
client.set_registered_model_alias("pet-classifier", "champion", "1")
client.transition_model_version_stage("pet-classifier", "2", "Staging")

if major >= 3:
    model = client.create_logged_model(pets, name="net", source_run_id=best, tags={"size": "small"}, params={"depth": "3"}, model_type="classifier")
    client.log_model_artifacts(model.model_id, "w")
    client.finalize_logged_model(model.model_id, "READY")
    from mlflow.entities import LoggedModelOutput

    client.log_outputs(best, [LoggedModelOutput(model.model_id, step=4)])
    client.log_metric(best, "val", 0.75, T0 + 2_000, 4, model_id=model.model_id, dataset_name="faces", dataset_digest="abc123")
    client.create_model_version("pet-classifier", f"models:/{model.model_id}", best, model_id=model.model_id)
shutil.rmtree("w")

from mlflow.entities import ViewType

experiments = [e.experiment_id for e in client.search_experiments(view_type=ViewType.ALL)]
mlflow.search_runs(experiments, run_view_type=ViewType.ALL).to_csv("search_runs.csv", index=False)

# Where the store was made says nothing to anybody: as if it had been copied from a server.
here, there = str(out), "/srv/mlflow"
if kind == "file":
    for path in out.rglob("*"):
        if path.is_file() and (path.name in ("meta.yaml", "search_runs.csv") or "registrations" in str(path) or "tags" in str(path.parent)):
            text = path.read_text()
            if here in text:
                path.write_text(text.replace(here, there))
else:
    db = sqlite3.connect("mlflow.db")
    for table, columns in {"experiments": ["artifact_location"], "runs": ["artifact_uri"], "model_versions": ["source", "storage_location"], "logged_models": ["artifact_location"]}.items():
        known = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        for column in columns:
            if column in known:
                db.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (here, there))
    db.commit()
    # Hundreds of tables, most of them empty: small pages make a small file.
    db.execute("PRAGMA journal_mode = delete")
    db.execute("PRAGMA page_size = 512")
    db.execute("VACUUM")
    db.close()
    table = pathlib.Path("search_runs.csv")
    table.write_text(table.read_text().replace(here, there))
left = [str(p) for p in out.rglob("*") if p.is_file() and here.encode() in p.read_bytes()]
assert not left, left
