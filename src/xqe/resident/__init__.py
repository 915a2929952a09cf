"""A process that keeps models and indexes open and runs commands for others: `client` finds it, `server` is it.

They speak over a Unix socket of the user's. The client sends one JSON object a line: its version, its arguments, its
folder and its environment, and with it its three standard streams; the server answers {"refused": why} or
{"accepted": true}, and when the command has ended {"status": number}. A byte from the client is Ctrl-C, and so is its
end.
"""
