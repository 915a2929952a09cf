"""Fine-tuning an expander: training examples from collections, LoRA training, adapters for llama.cpp."""
