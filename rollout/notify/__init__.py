"""From what happened to a run to what people are told: select, render, send, record.

happenings.py  what happened to a run, from its stored record
select.py      which of it a channel tells, and when
quiet.py       when people are left in peace
message.py     one event as facts, with its next commands; own templates
ledger.py      how far a channel is, in its status
choose.py      which event of which run is next
post.py        one turn of one channel: choose, write down, send, write down
office.py      all channels: when each has its turn
verdict.py     what an answer means

Nothing is remembered but in the cluster: a run's status has what happened, each channel's status how far it is.  A
message is written down before it is sent and after.  Who dies in between leaves a doubt, and the next one solves it:
by sending again where the receiver knows a message by its id, by asking the vendor where that is possible, else by
sending again with a mark.  No vendor makes it possible to be exact without one of the first two.
"""
