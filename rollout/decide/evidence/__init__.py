"""The mathematics of judgement: how strongly counts speak for or against a candidate.  Pure arithmetic, no plans.

Every test here is an *e-process*: the worth of a bet, begun with 1, that cannot grow on average while the null
hypothesis holds, however often one looks.  By Ville's inequality P(it ever reaches 1/alpha) <= alpha, so a verdict may
be taken at any look.  All of them are conditional on the numbers of requests: traffic and weights may change freely.

    counts       what one look saw in both arms
    mixture      many bets, begun at many looks, as one: the state that all tests share
    ratio        is the candidate's error rate more than R times the primary's?  (rare events)
    inferiority  is it proved less than a margin worse; is it more than a margin worse?  (common events)
    objective    absolute: more, or provably less, than an objective allows; intervals: for display
    edges        latency at the edges of a histogram's buckets
    split        does the traffic divide as the weight says?
    burst        errors come in bursts: the factor that evidence is divided by; tempered: afterwards
    effect       how large the difference is, and the rule that fails a candidate
    power        what a schedule would catch, by formula
    trials       the same by simulation: traffic drawn by sampling, judged by a quick form of the rule; fixed: a peer's
"""
