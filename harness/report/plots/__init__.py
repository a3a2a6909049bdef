"""Pictures of a report: what they show, how they look, and files of them."""
