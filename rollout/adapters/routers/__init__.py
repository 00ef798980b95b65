"""Routers: one way to split traffic each, behind `rollout.ports.router`."""
