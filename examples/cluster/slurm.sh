#!/bin/bash
# A run of xqe on four machines of a Slurm cluster: sbatch examples/cluster/slurm.sh
# Not run here: partition, account and the paths are yours.
#SBATCH --job-name=xqe
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --mem=64G
#SBATCH --time=12:00:00
set -euo pipefail

. /shared/xqe/.venv/bin/activate           # the same Python, Ray and xqe on all machines: one folder that all see
export XQE_MODELS=/shared/models           # where each worker finds the model; what is not there is brought, once
export XDG_CACHE_HOME=/tmp/$USER-cache     # local to each machine: what is brought, and hashes of models
export RAY_AUTH_MODE=token                 # other users of the cluster reach the ports of this one
export RAY_AUTH_TOKEN=$(openssl rand -hex 32)
export RAY_USAGE_STATS_ENABLED=0

port=$((30000 + SLURM_JOB_ID % 10000))     # Ray gives its workers 10002 to 19999
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -1)
address=$(getent ahostsv4 "$head" | awk '{print $1; exit}')

start="ray start --num-cpus=$SLURM_CPUS_PER_TASK --block --disable-usage-stats"
srun --nodes=1 --ntasks=1 -w "$head" $start --head --node-ip-address="$address" --port="$port" \
    --include-dashboard=false &
sleep 20
if ((SLURM_JOB_NUM_NODES > 1)); then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
        $start --address="$address:$port" &
fi
sleep 20

# The batch script runs on the first machine. The store lies where the next job finds it: after a time limit or a crash
# the same command goes on.
xqe translate --to en -i /shared/queries.jsonl --model aya-expanse-8b --store /shared/store/generations.sqlite \
    --on "ray:$address:$port" --workers "$SLURM_JOB_NUM_NODES" --worker-gpus 1 > /shared/translated.jsonl
