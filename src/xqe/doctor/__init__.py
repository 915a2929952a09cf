"""What is true of this machine as far as it makes xqe slow or fail: facts, and findings about them.

Facts are gathered by their subject: `packages`, `llama` (the library), `hardware`, `places`, `models`, `store`,
`variables`; `facts` is all of them. Gathering asks no server, assembles, repairs and downloads nothing, and goes on
where something is broken. `findings` says what is off. Sizes are in bytes; values that are secret are never part of a
fact.
"""
