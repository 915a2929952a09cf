"""xqe finetune: an expander of one's own, from training data to an adapter that xqe expand loads."""
