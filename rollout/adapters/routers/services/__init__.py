"""Routers that split between two Services: one selects stable's pods, one the candidate's, both made for the run.

The owner's Service goes on selecting both, so whoever is not bound by a route reaches both; every list of destinations
that names it names ours instead while the run lasts.

| question | module |
|---|---|
| how the objects of one API say where requests go | `dialect` |
| our two Services | `pair` |
| how a list is split between them | `split` |
| which objects count, which we make | `routes` |
| the router, complete but for its dialect | `router` |
| what would go wrong | `findings` |
"""
