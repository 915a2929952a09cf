"""The headings that shared options stand under in the help. A command's own stand first, under none of these."""

GENERATION = "Generation"
ENCODER = "Encoder"
GUIDING = "Examples and guidance"
WORDS = "Search by words"
VECTORS = "Search by meaning, and by both"
FEEDBACK = "Feedback"
RERANKING = "Re-ranking"
HARDWARE = "Hardware"
CLUSTER = "Cluster"
SERVER = "Servers"
STORE = "What is kept"

SHARED = (GENERATION, ENCODER, GUIDING, WORDS, VECTORS, FEEDBACK, RERANKING, HARDWARE, CLUSTER, SERVER, STORE)
