"""Work on many machines: workers of a Ray cluster, each of which holds something that takes tasks, such as a model.

`wishes` (what was asked for) → `shares` (what each worker gets); `worker` (what runs in one) → `pool` (tasks out,
results in, in order, what is lost done again), which knows nothing of Ray; `library` (Ray itself) → `opened`.
"""
