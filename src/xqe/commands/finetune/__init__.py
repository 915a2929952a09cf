"""xqe finetune: its commands, and what they say to a person."""
