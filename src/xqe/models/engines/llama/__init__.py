"""Generation in this process with llama.cpp: many sequences decoded together, shared prefixes decoded once."""
