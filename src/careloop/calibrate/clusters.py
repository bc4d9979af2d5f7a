"""Clusters found in the data against the segments of the pack.

Customers are clustered by how long ago they were active, how often and for how much they bought in
the long window, and how often they interacted in it: logarithms (of 1 + value), standardised, then
k-means with k-means++ starts, seeded. The number of clusters, from 2 to ``calibration.clusters``,
is the one with the best silhouette on a fixed part of the customers. At most
``calibration.max_sampled_customers`` customers are looked at, the same on every run.

SOURCES: P. J. Rousseeuw, Silhouettes, Journal of Computational and Applied Mathematics 20 (1987);
D. Arthur and S. Vassilvitskii, k-means++ (SODA 2007); L. Hubert and P. Arabie, Comparing
partitions, Journal of Classification 2 (1985), for the adjusted Rand index. As scikit-learn has
them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from careloop.calibrate.marts import Marts
from careloop.calibrate.model import Column, Finding, Words
from careloop.calibrate.say import Percent, join, say

# Measures and how their medians differ in words: more, less than most.
MEASURES = ("days_since_last_activity", "orders_long", "spend_long", "interactions_long")
SEED = 20_260_101
STARTS = 10
# Silhouettes take time and memory with the square of their number.
SILHOUETTES = 2_000
# A median counts as different when its standardised distance from that of all is larger.
APART = 0.5

# Who was never active has been silent for as long as anybody known.
_SAMPLE = """
select
    customer_id,
    segment,
    coalesce(days_since_last_activity, tenure_days, max(tenure_days) over (), 0)::double
        as days_since_last_activity,
    orders_long::double as orders_long,
    spend_long::double as spend_long,
    interactions_long::double as interactions_long
from customers
order by md5(customer_id), customer_id
limit $most
"""


@dataclass(frozen=True)
class Clustering:
    """labels: cluster of each sampled customer, 0 the one that spends most; scores: silhouette
    by number of clusters; index: adjusted Rand index against the segments; medians: of the
    measures by cluster; levels: how far these lie from the medians of all, standardised."""

    labels: np.ndarray
    segments: np.ndarray
    scores: dict[int, float]
    index: float
    medians: list[dict[str, float]]
    levels: list[dict[str, float]]

    @property
    def number(self) -> int:
        return len(self.medians)

    def share(self, k: int) -> float:
        """Of the sampled customers those in a cluster."""
        return float((self.labels == k).mean())


def clusters(marts: Marts) -> list[Finding]:
    """The comparison, where the pack wants it and there are customers enough."""
    rules = marts.program.calibration
    if not rules.recluster:
        return []
    found = marts.con.execute(_SAMPLE, {"most": rules.max_sampled_customers}).fetchnumpy()
    customers = len(found["customer_id"])
    if customers < rules.min_cases:
        return [_told("few", say("few_clusters", found=customers, needed=rules.min_cases))]
    columns = {name: np.ma.filled(found[name], 0.0) for name in MEASURES}
    clustering = cluster(columns, np.asarray(found["segment"], dtype=str), rules.clusters)
    if clustering is None:
        return [_told("alike", say("clusters_alike"))]
    return _findings(marts, clustering)


def cluster(columns: dict[str, np.ndarray], segments: np.ndarray, most: int) -> Clustering | None:
    """The clusters of customers; None where all are alike."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, silhouette_score
    from threadpoolctl import threadpool_limits

    features = np.column_stack([np.log1p(np.maximum(c, 0)) for c in columns.values()])
    spread = features.std(axis=0)
    features = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    part, distinct = features[:SILHOUETTES], len(np.unique(features, axis=0))
    best: tuple[float, Any] | None = None
    scores: dict[int, float] = {}
    # Sums in another order than another number of threads would give are other sums.
    with threadpool_limits(limits=1):
        for number in range(2, most + 1):
            if distinct < number:
                break
            fit = KMeans(number, n_init=STARTS, random_state=SEED).fit(features)
            labels = fit.labels_[:SILHOUETTES]
            if not 1 < len(np.unique(labels)) < len(part):
                continue
            scores[number] = round(float(silhouette_score(part, labels)), 6)
            if best is None or scores[number] > best[0]:
                best = (scores[number], fit.labels_)
    if best is None:
        return None
    labels = _ordered(best[1], columns)
    medians = [
        {name: round(float(np.median(c[labels == k])), 4) for name, c in columns.items()}
        for k in range(labels.max() + 1)
    ]
    middle = np.median(features, axis=0)
    levels = [
        dict(
            zip(
                columns,
                (round(float(x), 6) for x in np.median(features[labels == k], axis=0) - middle),
                strict=True,
            )
        )
        for k in range(labels.max() + 1)
    ]
    index = round(float(adjusted_rand_score(segments, labels)), 6)
    return Clustering(labels, segments, scores, index, medians, levels)


def _ordered(labels: np.ndarray, columns: dict[str, np.ndarray]) -> np.ndarray:
    """The same clusters, numbered by what they spend and by how lately they were active."""
    keys = []
    for k in np.unique(labels):
        of = labels == k
        keys.append(
            (
                -round(float(np.mean(columns["spend_long"][of])), 4),
                round(float(np.mean(columns["days_since_last_activity"][of])), 4),
                -int(of.sum()),
                int(np.argmax(of)),
                int(k),
            )
        )
    new = {key[-1]: number for number, key in enumerate(sorted(keys))}
    return np.array([new[int(k)] for k in labels])


def _findings(marts: Marts, found: Clustering) -> list[Finding]:
    """What the clusters are, and who of the segments is in them."""
    titles = {s.id: Words(s.title.en, s.title.zh) for s in marts.program.segments}
    there = {s: title for s, title in titles.items() if (found.segments == s).any()}
    return [_measured(marts, found, len(there)), _crossed(found, there)]


def _measured(marts: Marts, found: Clustering, segments: int) -> Finding:
    columns = (
        Column("cluster", say("column_cluster")),
        Column("about", say("column_about")),
        Column("share", say("column_share"), "share", 1),
        *(Column(name, say(f"median_{name}"), "number", 0) for name in MEASURES),
    )
    rows = tuple(
        {
            "cluster": k + 1,
            "about": _about(found.levels[k]),
            "share": found.share(k),
            **found.medians[k],
        }
        for k in range(found.number)
    )
    text = say(
        "clusters_agree" if found.index >= 0.5 else "clusters_differ",
        number=found.number,
        most=marts.program.calibration.clusters,
        score=round(max(found.scores.values()), 3),
        index=round(found.index, 3),
        customers=len(found.labels),
        segments=segments,
    )
    title = say("clusters_title")
    return Finding("clusters.measures", "clusters", text, "info", title, columns, rows)


def _crossed(found: Clustering, titles: dict[str, Words]) -> Finding:
    columns = (
        Column("cluster", say("column_cluster")),
        Column("share", say("column_share"), "share", 1),
        *(Column(f"in_{s}", title, "share", 0) for s, title in titles.items()),
    )
    rows, texts = [], []
    for k in range(found.number):
        of = found.segments[found.labels == k]
        shares = {s: float((of == s).mean()) for s in titles}
        most = max(titles, key=lambda s, shares=shares: (shares[s], s))
        told = say(
            "cluster_where",
            cluster=k + 1,
            about=_about(found.levels[k]),
            segment=titles[most],
            share=Percent(shares[most]),
        )
        texts.append(Words(f"{told.en}.", f"{told.zh}。"))
        cells = {f"in_{s}": share for s, share in shares.items()}
        rows.append({"cluster": k + 1, "share": found.share(k), **cells})
    text, title = join(texts, " ", ""), say("crossed_title")
    return Finding("clusters.segments", "clusters", text, "info", title, columns, tuple(rows))


def _about(levels: dict[str, float]) -> Words:
    """What sets a cluster apart, from the medians of its measures, the strongest first."""
    apart = sorted((-abs(v), name, v > 0) for name, v in levels.items() if abs(v) >= APART)
    words = [say(f"{name}_{'high' if high else 'low'}") for _, name, high in apart]
    return join(words, ", ", "、") if words else say("like_most")


def _told(name: str, text: Words) -> Finding:
    return Finding(f"clusters.{name}", "clusters", text)
