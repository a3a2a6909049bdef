"""`python -m harness.cli`: gist-bench where its script is not on the path."""

from harness.cli import main

if __name__ == "__main__":
    main()
