"""What generates: which models there are, their files, the engines that run them, the store, prompts and examples."""
