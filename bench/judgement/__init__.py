"""How often each rule rejects sound candidates and finds bad ones, on the same imagined traffic.

A plan of ten minutes (two at each of 10, 20, ... 50 %), looked at every 15 s, tried thousands of times for each row.  r
is the canary's requests/s at 10 %, so the service has 10 r.  Bursts: clusters of errors with this mean size.  Cells:
rejected %, @ median minute of the rejection, [bad requests that the canary answered, on average].

    F5, F1   Flagger: 99 % on a one-minute share, five failed checks or one; a failed check holds the weight
    Seq      ours: evidence 200:1 (1 % over two gates), tolerance 1 point, burst factor from the primary's five pods,
             which have half an hour of past if nothing else is said
    proved   ours: proved less than 1 point worse, with 5 % risk

    python -m bench.judgement                  # a few minutes
    python -m bench.judgement --runs 200 --json
"""
