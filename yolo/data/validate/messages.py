"""Why a set is refused and what to do about it, in words."""

from collections import Counter
from pathlib import Path

from yolo.data.validate.validation import ValidationResult

_SHOWN = 5
_REMEDIES = {
    "min_images": "add images, choose other data.{key}.splits, or lower validate.{key}.min_images",
    "class_coverage": "add examples, correct data.{key}.classes, "
    "or set validate.{key}.rules.class_coverage to warn",
    "evaluation_coverage": "add examples, or set validate.{key}.rules.evaluation_coverage to warn",
    "similar_classes": "join them by data.{key}.rename, "
    "or set validate.{key}.rules.similar_classes to warn",
    "unused_list": "name the list in data.{key}.splits, "
    "or set validate.{key}.rules.unused_list to warn",
    "max_rejected": "correct the data, or raise validate.{key}.max_rejected",
}
_ROW_REMEDY = "correct the files, or set validate.{key}.rules.{rule} to another policy"


def refusal(key: str, result: ValidationResult, reports: Path) -> str:
    """The text of the stage's failure: rules, worst offenders, remedies, where the rest is."""
    lines = [f"the {key} set breaks its contract and is not admitted"]
    for rule, offenders in result.failures:
        lines.append(f"{rule.name} ({len(offenders)}): {rule.meaning}")
        lines += [f"    {offender}" for offender in offenders[:_SHOWN]]
        if len(offenders) > _SHOWN:
            lines.append(f"    and {len(offenders) - _SHOWN} more")
        if rule.name == "max_rejected":
            lines += [f"    most: {text}" for text in _worst_rules(result)]
        remedy = _REMEDIES.get(rule.name, _ROW_REMEDY).format(key=key, rule=rule.name)
        lines.append(f"  → {remedy}")
    lines.append(f"every finding: {reports / 'rejected.csv'}, {reports / 'data_docs/index.html'}")
    return "\n".join(lines)


def warnings(result: ValidationResult) -> list[str]:
    """A line for each rule that was broken without refusing the set."""
    dropped = Counter((found.rule, found.action) for found in result.filtered.findings)
    lines = [f"  {rule}: {count} ({action})" for (rule, action), count in sorted(dropped.items())]
    for rule, offenders in result.warnings:
        shown = "; ".join(offenders[:_SHOWN])
        more = f"; and {len(offenders) - _SHOWN} more" if len(offenders) > _SHOWN else ""
        lines.append(f"  {rule.name}: {shown}{more} (warn)")
    return lines


def _worst_rules(result: ValidationResult) -> list[str]:
    drops = [found for found in result.filtered.findings if found.action.startswith("drop_")]
    return [
        f"{rule} {count}, e.g. "
        + next(f"{found.file}: {found.value}" for found in drops if found.rule == rule)
        for rule, count in Counter(found.rule for found in drops).most_common(_SHOWN)
    ]
