from __future__ import annotations

from dataclasses import replace

from huggingface_hub import ModelCard

from edgepress.records.diagnosis import Diagnosed
from edgepress.records.inputs import Crop
from edgepress.report.cards import card
from edgepress.report.run import Run, TargetRun

HOSTILE = "a|b\n# <script>`*[x](y)_"


def target(run: Run, key: str) -> TargetRun:
    return next(target for target in run.targets if target.key == key)


def test_card_is_read_by_model_hubs_when_a_target_passed(finished: Run) -> None:
    made = ModelCard(card(finished, target(finished, "x86_64-openvino-int8")))
    assert made.data.pipeline_tag == "image-classification"
    assert made.data.eval_results is not None
    assert made.data.eval_results[0].metric_value == 0.9733
    assert made.data.model_name == "digits.x86_64-openvino-int8"
    assert made.text.lstrip().startswith("# digits.x86&#95;64-openvino-int8")


def test_card_has_every_section_when_the_run_is_whole(finished: Run) -> None:
    text = card(finished, target(finished, "x86_64-openvino-int8"))
    for name in (
        "Intended use",
        "Data",
        "Lineage",
        "Compression recipe",
        "Hardware",
        "Right and wrong",
        "Gates",
        "Limits",
    ):
        assert f"\n## {name}\n" in text
    assert "| latency p50 | 0.17 ms | 0.167 to 0.173 |" in text
    assert "sha256 " + "c" * 64 in text
    assert "Verdict: pass." in text


def test_card_says_what_is_right_and_wrong_when_it_was_told(finished: Run) -> None:
    text = card(finished, target(finished, "x86_64-openvino-int8"))
    assert "\n- calibration error: 26.94 %, -1.33 points against the float network\n" in text
    assert "\n| class | in test, images | Recall | Precision | Right | Missed | False |\n" in text
    assert "\n| 5 | 45 | 95.56 %, float 97.78 % | 95.56 %, float 97.78 % | 43, float 44 |" in text
    assert "\n- 5 answered as 6: 2 of 45 images (4.44 %)\n" in text


def test_card_tells_a_device_how_to_prepare_and_read_when_the_task_has_parameters(
    finished: Run,
) -> None:
    chosen = target(finished, "x86_64-openvino-int8")
    assert "bilinear filter, straight to that size" in card(finished, chosen)
    assert "whole JPEGs decoded" not in card(finished, chosen)
    assert "Answers are read by" not in card(finished, chosen)
    assert chosen.exported is not None
    cut = {"input": chosen.exported.input.model_copy(update={"fit": Crop(crop=0.5), "width": 24})}
    text = card(finished, replace(chosen, exported=chosen.exported.model_copy(update=cut)))
    assert "until it covers 32 x 48 pixels, the middle taken" in text
    boxed = chosen.exported.model_copy(
        update={
            "task": {"method": "detection", "overlap": 0.6, "tiles": {"overlap": 0.2}},
            "input": chosen.exported.input.model_copy(update={"fit": "letterbox", "draft": True}),
        }
    )
    text = card(replace(finished, hub="object-detection"), replace(chosen, exported=boxed))
    assert "bilinear filter, proportions kept, in the middle, what is left filled with" in text
    assert "whole JPEGs decoded at a half, a quarter or an eighth of their size first" in text
    assert "\n- overlap: 0.6\n- tiles: {&#39;overlap&#39;: 0.2}\n" in text
    assert "\npipeline_tag: object-detection\n" in text


def test_limits_name_what_was_hardly_tested(finished: Run) -> None:
    chosen = target(finished, "x86_64-openvino-int8")
    assert chosen.diagnosed is not None
    told = chosen.diagnosed.ours.per_class
    assert told is not None
    rare = told.rows[3].model_copy(update={"items": 34})
    gone = told.rows[4].model_copy(update={"items": 0})
    classes = told.model_copy(update={"rows": (*told.rows[:3], rare, gone, *told.rows[6:])})
    ours = chosen.diagnosed.ours.model_copy(update={"per_class": classes})
    diagnosed = chosen.diagnosed.model_copy(update={"ours": ours})
    text = card(finished, replace(chosen, diagnosed=diagnosed))
    assert "\n- Not in the test split, so not proven: 4, 5.\n" in text
    assert "\n- Fewer than 35 images in the test split, too few to prove that 90 % are" in text
    assert "right: 3 (34).\n" in text
    assert "on another processor they may differ.\n" in text
    whole = card(finished, chosen)
    assert "Not in the test split" not in whole
    assert "Fewer than" not in whole


def test_only_the_worst_classes_stand_in_a_card_when_there_are_many(finished: Run) -> None:
    chosen = target(finished, "x86_64-openvino-int8")
    assert chosen.diagnosed is not None
    told = chosen.diagnosed.ours.per_class
    assert told is not None
    rows = tuple(
        told.rows[0].model_copy(update={"name": f"c{place}", "values": (place / 30, 1, 1, 1, 1)})
        for place in range(30)
    )
    ours = chosen.diagnosed.ours.model_copy(
        update={"per_class": told.model_copy(update={"rows": rows})}
    )
    text = card(finished, replace(chosen, diagnosed=Diagnosed(ours=ours, floats=ours)))
    assert "\nThe 10 of 30 with the lowest Recall.\n" in text
    assert "\n| c9 | 45 | 30.00 % |" in text
    assert "| c10 |" not in text


def test_card_promises_nothing_when_the_target_was_not_run(finished: Run) -> None:
    text = card(finished, target(finished, "jetson-tensorrt-int8"))
    assert "Verdict: not run." in text
    assert "eval_results" not in text
    assert "model-index" not in text
    assert "TensorRT builds its engine on the device; run validate on the Jetson" in text


def test_tables_keep_their_columns_when_names_are_hostile(finished: Run) -> None:
    chosen = target(finished, "x86_64-openvino-int8")
    assert chosen.exported is not None
    assert chosen.verdicts is not None
    verdicts = tuple(
        verdict.model_copy(update={"reason": HOSTILE}) for verdict in chosen.verdicts.verdicts
    )
    hostile = replace(
        chosen,
        exported=chosen.exported.model_copy(update={"classes": (HOSTILE, "b")}),
        verdicts=chosen.verdicts.model_copy(update={"verdicts": verdicts}),
    )
    text = card(finished, hostile)
    assert "<script>" not in text
    rows = [line for line in text.splitlines() if line.startswith("| accuracy |")]
    assert [row.count("|") for row in rows] == [4, 6]  # the measured score and its gate
    assert "a&#124;b &#35; &lt;script&gt;" in text


def test_card_is_whole_when_only_the_target_is_known(empty: Run, finished: Run) -> None:
    bare = TargetRun(finished.targets[0].target)
    text = card(empty, bare)
    for sentence in (
        "No export was found",
        "Nothing was measured.",
        "No gate was asked.",
        "Nothing is known of single",
    ):
        assert sentence in text


def test_card_is_the_same_when_written_on_another_day(finished: Run) -> None:
    later = replace(finished, provenance=replace(finished.provenance, date="2027-01-01T00:00"))
    assert card(later, finished.targets[0]) == card(finished, finished.targets[0])
