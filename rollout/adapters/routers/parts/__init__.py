"""What routers have in common: lists of weighted destinations, split and given back, whatever the objects are called.

| question | module |
|---|---|
| how one list's destinations are split and put together again | `shares`, `weights` |
| one list in an object, and all lists of an object | `spots` |
| what the owner had written | `originals` |
| patches of lists, with their journal lines | `writing` |
| what the lists say together | `reading` |
| which pods requests find | `selected` |
| findings that do not depend on the router | `findings` |
"""
