"""`python -m workflowexecution` runs the controller."""

from workflowexecution import cli

if __name__ == "__main__":
    raise SystemExit(cli.main())
