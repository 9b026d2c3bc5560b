"""Rules run by great-expectations over data frames; it writes Data Docs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgepress.records.findings import Severity


@dataclass(frozen=True)
class Expectation:
    """A class of great_expectations.expectations by name, for one column."""

    kind: str
    column: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """One expectation on one frame; every frame has a column `id`."""

    name: str
    says: str
    severity: Severity
    frame: str
    expectation: Expectation


@dataclass(frozen=True)
class RuleResult:
    """What a rule found: the ids and values of all rows that break it."""

    rule: Rule
    passed: bool
    offending: list[tuple[str, Any]]


def run_suite(frames: Mapping[str, Any], rules: Sequence[Rule], docs: Path) -> list[RuleResult]:
    """Validate pandas frames by name, write Data Docs into `docs`; outcomes in order of rules."""
    os.environ["GX_ANALYTICS_ENABLED"] = "False"  # read when the package is imported
    import great_expectations as gx  # 8 s

    context: Any = gx.get_context(mode="ephemeral", project_config=_in_memory())
    context.add_data_docs_site("local", _site(docs))
    outcomes: dict[str, RuleResult] = {}
    for frame, data in frames.items():
        mine = [rule for rule in rules if rule.frame == frame]
        outcomes.update(_validate(gx, context, frame, data, mine))
    return [outcomes[rule.name] for rule in rules]


def _validate(
    gx: Any, context: Any, frame: str, data: Any, rules: list[Rule]
) -> dict[str, RuleResult]:
    asset = context.data_sources.add_pandas(f"manifest_{frame}").add_dataframe_asset(frame)
    suite = gx.ExpectationSuite(name=frame, expectations=[_expectation(gx, r) for r in rules])
    definition = gx.ValidationDefinition(
        name=frame,
        data=asset.add_batch_definition_whole_dataframe("whole"),
        suite=context.suites.add(suite),
    )
    checkpoint = gx.Checkpoint(
        name=frame,
        validation_definitions=[context.validation_definitions.add(definition)],
        actions=[gx.checkpoint.UpdateDataDocsAction(name="docs", site_names=["local"])],
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": ["id"],
            "return_unexpected_index_query": False,
        },
    )
    run = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": data})
    (validated,) = run.run_results.values()
    by_name = {rule.name: rule for rule in rules}
    found = {}
    for result in validated.results:
        rule = by_name[result.expectation_config.meta["rule"]]
        found[rule.name] = RuleResult(rule, bool(result.success), _offending(rule, result))
    return found


def _expectation(gx: Any, rule: Rule) -> Any:
    kind = getattr(gx.expectations, rule.expectation.kind)
    return kind(
        column=rule.expectation.column,
        severity=rule.severity,
        description=rule.says,
        meta={"rule": rule.name},
        **rule.expectation.arguments,
    )


def _offending(rule: Rule, result: Any) -> list[tuple[str, Any]]:
    # Flat where an expectation breaks, one entry per metric where a metric does.
    info = result.exception_info
    for raised in [info] if "raised_exception" in info else info.values():
        if raised["raised_exception"]:
            raise RuntimeError(f"rule {rule.name}: {raised['exception_message']}")
    rows = result.result.get("unexpected_index_list") or []
    return [(str(row["id"]), row[rule.expectation.column]) for row in rows]


def _in_memory() -> Any:
    from great_expectations.data_context.types import base

    return base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(),
        progress_bars={"globally": False},
        analytics_enabled=False,
    )


def _site(docs: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(docs.resolve()),
        },
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
