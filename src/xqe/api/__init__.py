"""What the commands do, as functions over plain dicts: `import xqe` offers them, and loads them when they are used."""
