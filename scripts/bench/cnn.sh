#!/usr/bin/env bash
# Training steps and predictions of the same networks with cvops, TensorFlow and Keras, PyTorch
# (its own layout and channels last) and onnxruntime, on the CPU, in turn. Prints a table: CPU time
# of a picture first, since machines are shared, then wall time, and how many times more the peer
# needs. What the figures mean: cnn/figures.py; the networks: cnn/networks.py.
#   VENV=target/peers/cnn   Python with the peers (default). To make it:
#                           python3 -m venv target/peers/cnn && target/peers/cnn/bin/pip install \
#                             tensorflow-cpu==2.21.0 torch onnxruntime onnx
#   CVOPS_CNN_BENCH=FILE    cvops's side, benches/cnn.rs; `cargo bench --bench cnn --no-run` names the
#                           file. Without it the peers run alone.
#   NETS="cnn35 emoji64 lenet resnet8" THREADS="1 2" STEPS=50 ROUNDS=2   what is run (default: these)
#   PEERS="tensorflow torch torch-cl onnxruntime"                        and against whom (default: all)
#   AVX2=1                  everyone without AVX-512, as on most desktops; onnxruntime, which cannot be
#                           told so, sits out
#   FIGURES=FILE            also appends all lines of JSON to FILE
bench=${CVOPS_CNN_BENCH:-}
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
here=$repo/scripts/bench/cnn
venv=${VENV:-$repo/target/peers/cnn} python=${VENV:-$repo/target/peers/cnn}/bin/python
[ -x "$python" ] || die "no Python at $python; the head of this script says how to make $venv"
[ -z "$bench" ] || [ -x "$bench" ] || die "no program at $bench"
peers=${PEERS:-tensorflow torch torch-cl onnxruntime} steps=${STEPS:-50}
export TF_CPP_MIN_LOG_LEVEL=3 PYTHONDONTWRITEBYTECODE=1
if [ -n "${AVX2:-}" ]; then
  # oneDNN in TensorFlow and in PyTorch, PyTorch's own kernels, MKL beneath them, cvops.
  export ONEDNN_MAX_CPU_ISA=AVX2 DNNL_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
  export MKL_ENABLE_INSTRUCTIONS=AVX2 CVOPS_CPU=avx2
  peers=${peers//onnxruntime/}
fi
machine
say "$("$python" -c '
from importlib.metadata import PackageNotFoundError, version
for name in ("tensorflow-cpu", "keras", "torch", "onnxruntime"):
    try: print(name, version(name), end="; ")
    except PackageNotFoundError: pass
')${AVX2:+everyone without AVX-512}"

# figures CMD...: runs CMD, keeps its lines of JSON, and shows what else it said only if it fails
figures() {
  say "$(uptime | sed 's/.*load/load/'): ${*##*/}"
  "$@" >"$scratch/out" 2>"$scratch/err" || die "failed: $*: $(tail -n 20 "$scratch/err")"
  grep '^{' "$scratch/out" >>"$scratch/figures" || die "no figures from: $*"
}

for net in ${NETS:-cnn35 emoji64 lenet resnet8}; do
  case " $peers " in *" onnxruntime "*) "$python" "$here/make_onnx.py" "$net" "$scratch/$net.onnx" ;; esac
done
for ((round = 1; round <= ${ROUNDS:-2}; round++)); do
  for net in ${NETS:-cnn35 emoji64 lenet resnet8}; do
    for threads in ${THREADS:-1 2}; do
      for peer in $peers; do
        case $peer in
          tensorflow) figures "$python" "$here/steps_tensorflow.py" "$net" "$threads" "$steps" ;;
          torch) figures "$python" "$here/steps_torch.py" "$net" "$threads" "$steps" ;;
          torch-cl) figures "$python" "$here/steps_torch.py" "$net" "$threads" "$steps" cl ;;
          onnxruntime) figures "$python" "$here/infer_onnxruntime.py" "$net" "$threads" "$scratch/$net.onnx" ;;
          *) die "no peer $peer" ;;
        esac
      done
      if [ -n "$bench" ]; then
        figures "$bench" step "$net" "$threads" "$steps"
        figures "$bench" predict "$net" "$threads"
      fi
    done
  done
done
[ -z "${FIGURES:-}" ] || cat "$scratch/figures" >>"$FIGURES"
python3 "$here/report.py" "$scratch/figures"
