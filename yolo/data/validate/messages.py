"""Why a set is refused and what to do about it, in words."""

from collections import Counter
from pathlib import Path

from yolo.data.validate.validation import Assessment

_SHOWN = 5
_REMEDIES = {
    "min_images": "add pictures, choose other data.{key}.splits, "
    "or lower validate.{key}.min_images",
    "class_coverage": "add examples, correct data.{key}.classes, "
    "or set validate.{key}.rules.class_coverage to warn",
    "evaluation_coverage": "add examples, or set validate.{key}.rules.evaluation_coverage to warn",
    "max_rejected": "correct the data, or raise validate.{key}.max_rejected",
}
_ROW_REMEDY = "correct the files, or set validate.{key}.rules.{rule} to another policy"


def refusal(key: str, assessment: Assessment, reports: Path) -> str:
    """The text of the stage's failure: rules, worst offenders, remedies, where the rest is."""
    lines = [f"the {key} set breaks its contract and is not admitted"]
    for rule, offenders in assessment.failures:
        lines.append(f"{rule.name} ({len(offenders)}): {rule.meaning}")
        lines += [f"    {offender}" for offender in offenders[:_SHOWN]]
        if len(offenders) > _SHOWN:
            lines.append(f"    and {len(offenders) - _SHOWN} more")
        if rule.name == "max_rejected":
            lines += [f"    most: {text}" for text in _worst_rules(assessment)]
        remedy = _REMEDIES.get(rule.name, _ROW_REMEDY).format(key=key, rule=rule.name)
        lines.append(f"  → {remedy}")
    lines.append(f"every finding: {reports / 'rejected.csv'}, {reports / 'data_docs/index.html'}")
    return "\n".join(lines)


def warnings(assessment: Assessment) -> list[str]:
    """A line for each rule that was broken without refusing the set."""
    dropped = Counter((found.rule, found.action) for found in assessment.admission.findings)
    lines = [f"  {rule}: {count} ({action})" for (rule, action), count in sorted(dropped.items())]
    for rule, offenders in assessment.warnings:
        shown = "; ".join(offenders[:_SHOWN])
        more = f"; and {len(offenders) - _SHOWN} more" if len(offenders) > _SHOWN else ""
        lines.append(f"  {rule.name}: {shown}{more} (warn)")
    return lines


def _worst_rules(assessment: Assessment) -> list[str]:
    drops = [found for found in assessment.admission.findings if found.action.startswith("drop_")]
    return [
        f"{rule} {count}, e.g. "
        + next(f"{found.file}: {found.value}" for found in drops if found.rule == rule)
        for rule, count in Counter(found.rule for found in drops).most_common(_SHOWN)
    ]
