"""How well an embedding tells mechanisms of action apart, beside everything that must be beaten for it to mean much."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import schema
from morphospace.metrics import bootstrap, levels, nearest, retrieval
from morphospace.metrics.beside import SAME_BATCH, SAME_LAYOUT, UNIFORM, Beside
from morphospace.metrics.levels import Level
from morphospace.metrics.nearest import NSC, NSCB, Metric, Profiles, Rule, Similar, Votes
from morphospace.metrics.retrieval import Ranked
from morphospace.metrics.top_hits import top_hits
from morphospace.reasons import joined

EMBEDDING = "embedding"
MAP, REPLICATES, TOP_HIT = "mAP", "mAP_replicates", "top_hit"
TREATMENTS, WELLS, SITES = "treatments", "wells", "sites"
SCORES = {  # what each is, for people
    NSC: "nearest treatment of another compound has the same mechanism",
    NSCB: "the same, with treatments of the same batch left out, too",
    MAP: "mean average precision of treatments that look for their mechanism among other compounds",
    REPLICATES: "mean average precision of wells that look for their treatment among negative controls",
    TOP_HIT: "compounds whose images' top hits speak for their mechanism, the compound left out",
}
_BOOTSTRAP = 11  # stream of random numbers
Rows = NDArray[np.intp]
Features = Mapping[str, NDArray[np.float64]]  # of the rows of each table
T = TypeVar("T")


@dataclass(frozen=True)
class LeftOut:
    """Features from a model for each compound, which was trained without it (004-13).

    The rows of a compound look for their neighbours in the space of its model, where nobody has told its mechanism.

    Attributes
    ----------
    of
        Features of the rows of each table, by the compound that the model has not seen.
    """

    of: Mapping[str, Features]


class Settings(NamedTuple):
    """How mechanisms are scored.

    Attributes
    ----------
    metric, rule
        See `nearest`.
    top
        Hits an image in the top-hit accuracy.
    permutations
        Of the p-values.
    resamples, confidence
        Of the intervals, which resample compounds.
    seed
        Of both.
    """

    metric: Metric
    rule: Rule
    top: int
    permutations: int
    resamples: int
    confidence: float
    seed: int


@dataclass(frozen=True)
class Card:
    """Every score of mechanisms, each with its floors.

    Attributes
    ----------
    scores
        By name, in the order of `SCORES`.
    votes
        Of NSC and NSCB: who is nearest to whom.
    precision
        Average precision of the treatments.
    mechanisms, treatments
        mAP and p-value of each mechanism, and of the replicates of each treatment.
    settings
        How it was scored.
    """

    scores: Mapping[str, Beside]
    votes: Mapping[str, Votes]
    precision: Ranked
    mechanisms: pd.DataFrame
    treatments: pd.DataFrame
    settings: Settings

    def record(self) -> dict[str, Any]:
        """Return flat metrics: the scores with their floors, the rule, how many p-values are small."""
        found = joined(*(score.record() for score in self.scores.values()))
        for name, table in ((MAP, self.mechanisms), (REPLICATES, self.treatments)):
            significant = int((table["corrected_p"] < retrieval.THRESHOLD).sum())
            found |= {f"{name}_groups": len(table), f"{name}_significant": significant}
        found |= {"metric": self.settings.metric, "batch_rule": self.settings.rule}
        found |= {"batch_rule_meaning": nearest.RULES[self.settings.rule], "not_scored": self.not_scored()}
        found |= {"floors_not_measured": self.scores[NSC].unmeasured()}
        return found | {"verdict": " ".join(self.scores[name].verdict() for name in (NSC, NSCB))}

    def rows(self) -> dict[str, dict[str, tuple[float, float, float]]]:
        """Return value, low and high of the embedding and of every floor, by score: what a figure shows."""
        return {
            name: {EMBEDDING: score.estimate()[:3]} | {floor: score.estimate(floor)[:3] for floor in score.floors}
            for name, score in self.scores.items()
        }

    def counts(self) -> dict[str, int]:
        """Return how many rows each score is a mean of."""
        return {name: len(score.values) for name, score in self.scores.items()}

    def matrices(self) -> dict[str, tuple[NDArray[np.float64], tuple[str, ...], str]]:
        """Return confusion matrix, mechanisms and verdict of NSC and NSCB, where something was scored."""
        return {
            name: (votes.matrix, votes.profiles.classes, self.scores[name].verdict().partition(" Not measured")[0])
            for name, votes in self.votes.items()
            if len(votes.scored)
        }

    def not_scored(self) -> list[str]:
        """Return a sentence for each treatment that was not scored."""
        return [f"{name}: {x.name}: {x.reason}" for name, votes in self.votes.items() for x in votes.left]

    def table(self) -> pd.DataFrame:
        """Return a row a treatment: what is nearest to it, whether that is right, and why it was not scored."""
        profiles = self.votes[NSC].profiles
        every = range(len(profiles))
        found = pd.DataFrame(
            {"treatment": profiles.names, schema.COMPOUND: profiles.compounds, schema.MOA: profiles.mechanisms}
        )
        for name, votes in self.votes.items():
            said = pd.Series([" = ".join(n) for n in votes.nearest], votes.scored, dtype=object)
            found[name] = pd.Series(votes.hits, votes.scored).reindex(every)
            found[f"{name}_nearest"] = said.reindex(every).fillna("")
            reasons = dict(votes.left)
            found[f"{name}_left"] = [reasons.get(n, "") for n in profiles.names]
        found["average_precision"] = pd.Series(self.precision.precision, self.precision.rows).reindex(every)
        return found


def card(
    tables: Mapping[str, pd.DataFrame],
    embedding: Features | LeftOut,
    floors: Mapping[str, Features | str],
    settings: Settings,
) -> Card:
    """Return every score of an embedding beside its floors.

    Parameters
    ----------
    tables
        Metadata of ``treatments``, ``wells`` and ``sites`` (wells again, where there are no sites).
    embedding
        Features (n, k) of the rows of each table; or those of a model for each compound, where labels were learnt.
    floors
        The same of each floor that is measured on cells; or why it was not measured.
    settings
        How.
    """
    where = levels.places(tables[WELLS])
    known = {name: levels.level(tables[name], where if name == TREATMENTS else None) for name in tables}
    treated = {name: np.flatnonzero(~of.controls) for name, of in known.items()}

    def similar(name: str, rows: Rows) -> tuple[Level, dict[str, Similar | str]]:
        of = known[name].take(rows)
        return of, _similarities(name, rows, of, embedding, floors, settings.metric)

    of, alike = similar(TREATMENTS, treated[TREATMENTS])
    votes = {n: _each(alike, partial(nearest.vote, of.profiles, protocol=n, rule=settings.rule)) for n in (NSC, NSCB)}
    ranked = _each(alike, lambda s: _mechanisms(of.profiles, s))
    wells, alike = similar(WELLS, np.arange(len(known[WELLS].controls)))
    replicates = _each(alike, lambda s: _replicates(wells, s))
    sites, alike = similar(SITES, treated[SITES])
    hits = _each(alike, lambda s: top_hits(sites.profiles, s, settings.top))
    scores = {name: _voted(name, found, settings) for name, found in votes.items()}
    scores[MAP] = _ranked(MAP, ranked, of, settings)
    scores[REPLICATES] = _ranked(REPLICATES, replicates, wells, settings)
    scores[TOP_HIT] = _voted(TOP_HIT, hits, settings)
    mine, again = _own(ranked), _own(replicates)
    mechanisms = [of.profiles.mechanisms[i] for i in mine.rows]
    treatments = [wells.treatments[i] for i in again.rows]
    return Card(
        scores=scores,
        votes={name: _own(found) for name, found in votes.items()},
        precision=mine,
        mechanisms=retrieval.significance(mine, mechanisms, settings.permutations, settings.seed),
        treatments=retrieval.significance(again, treatments, settings.permutations, settings.seed),
        settings=settings,
    )


def _similarities(
    name: str,
    rows: Rows,
    of: Level,
    embedding: Features | LeftOut,
    floors: Mapping[str, Features | str],
    metric: Metric,
) -> dict[str, Similar | str]:
    """Return the similarities of rows by the embedding, and by each floor that was measured."""
    if isinstance(embedding, LeftOut):
        spaces = {compound: _by(features[name][rows], metric) for compound, features in embedding.of.items()}
        found: dict[str, Similar | str] = {EMBEDDING: nearest.apart(spaces, of.profiles.compounds)}
    else:
        found = {EMBEDDING: _by(embedding[name][rows], metric)}
    found |= {UNIFORM: nearest.alike(len(rows)), SAME_BATCH: nearest.sharing(of.profiles.batches)}
    found[SAME_LAYOUT] = nearest.sharing(of.places)
    for floor, features in floors.items():
        found[floor] = features if isinstance(features, str) else _by(features[name][rows], metric)
    return found


def _by(features: NDArray[np.float64], metric: Metric) -> Similar:
    return nearest.by_features(features, nearest.suited(metric, features.shape[1]))


def _each(similar: Mapping[str, Similar | str], measure: Callable[[Similar], T]) -> dict[str, T | str]:
    """Measure with each similarity; a reason why there is none stays."""
    return {name: s if isinstance(s, str) else measure(s) for name, s in similar.items()}


def _own(found: Mapping[str, T | str]) -> T:
    """What was measured with the embedding, which is always there."""
    mine = found[EMBEDDING]
    if isinstance(mine, str):
        raise TypeError(f"the embedding was not measured: {mine}")
    return mine


def _mechanisms(profiles: Profiles, similar: Similar) -> Ranked:
    """Rank the treatments of other compounds: right are those of the same mechanism."""
    codes, may = profiles.codes, nearest.allowed(profiles, NSC, "strict")
    return retrieval.rank(
        similar,
        lambda rows: may(rows) & (codes[rows][:, None] == codes),
        lambda rows: may(rows) & (codes[rows][:, None] != codes),
        np.flatnonzero(codes >= 0),
    )


def _replicates(wells: Level, similar: Similar) -> Ranked:
    """Rank the other wells of the treatment, which are right, among the negative controls."""
    treatment = np.unique(np.array(wells.treatments), return_inverse=True)[1].reshape(-1)

    def right(rows: Rows) -> NDArray[np.bool_]:
        same: NDArray[np.bool_] = treatment[rows][:, None] == treatment
        same[np.arange(len(rows)), rows] = False
        return same & ~wells.controls

    return retrieval.rank(
        similar, right, lambda rows: np.tile(wells.controls, (len(rows), 1)), np.flatnonzero(~wells.controls)
    )


def _voted(name: str, found: Mapping[str, Votes | str], settings: Settings) -> Beside:
    mine = _own(found)
    values = {n: v if isinstance(v, str) else v.hits for n, v in found.items()}
    groups = [mine.profiles.compounds[i] for i in mine.scored]
    return _beside(name, mine.hits, values, groups, len(mine.left), True, settings)


def _ranked(name: str, found: Mapping[str, Ranked | str], of: Level, settings: Settings) -> Beside:
    mine = _own(found)
    values = {n: v if isinstance(v, str) else v.precision for n, v in found.items()}
    groups = [of.profiles.compounds[i] for i in mine.rows]
    left = int((~of.controls).sum()) - len(mine.rows)
    return _beside(name, mine.precision, values, groups, left, False, settings)


def _beside(
    name: str,
    mine: NDArray[np.float64],
    values: Mapping[str, NDArray[np.float64] | str],
    groups: Sequence[str],
    left: int,
    shares: bool,
    settings: Settings,
) -> Beside:
    rng = np.random.default_rng([settings.seed, _BOOTSTRAP, list(SCORES).index(name)])
    draws = bootstrap.resample(list(groups), settings.resamples, settings.confidence, rng)
    floors = {n: v for n, v in values.items() if n != EMBEDDING}
    return Beside(name, mine, floors, tuple(groups), left, shares, draws)
