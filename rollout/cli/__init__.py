"""The command `rollout`: one module per verb, what it prints in `render/`, who it talks to in `session`."""
