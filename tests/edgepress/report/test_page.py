"""The page as a browser gets it: self-contained, escaped, whole even when the run is not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from edgepress.records.diagnosis import Diagnosed, Diagnosis, Pair
from edgepress.report.page import render
from edgepress.report.run import ClassCount, ConceptRun, Curation, Example, Run, TargetRun

HOSTILE = "</script><img src=x onerror=alert(1)>'\"&{{7*7}}"


class Reader(HTMLParser):
    """Collects tags, the addresses they load, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and tag == self._open[-1]:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if not self._open:
            self.text += data


@pytest.fixture(scope="module")
def page(finished: Run) -> str:
    return render(finished)


def test_page_loads_nothing_when_opened(page: str) -> None:
    reader = Reader(page)
    loaded = [
        value
        for _, attrs in reader.tags
        for name, value in attrs.items()
        if name in ("src", "srcset", "data", "poster", "action") and value is not None
    ]
    assert loaded
    assert all(value.startswith("data:image/png;base64,") for value in loaded)
    links = [attrs["href"] for _, attrs in reader.tags if "href" in attrs]
    assert all(str(link).startswith("#") for link in links)
    assert "link" not in {tag for tag, _ in reader.tags}
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_page_says_the_verdict_in_words_when_a_target_has_one(page: str) -> None:
    text = " ".join(Reader(page).text.split())
    for fact in ("7 pass", "1 fail", "6 not run", "of 14 targets", "loses up to 5.79 points"):
        assert fact in text
    assert "Core ML predicts on macOS only; run validate on a Mac" in text
    assert "70766bc4d21f with changes not committed" in text
    assert text.index("Ship x86_64-openvino-int8 on x86_64: the fastest of 7") < text.index(
        "7 pass"
    )


def test_no_heavy_library_is_imported_when_a_report_is_made() -> None:
    code = (
        "import sys; from edgepress.report import cards, page, summary;"
        "sys.exit(','.join({'torch', 'mlflow', 'prefect', 'dvc'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_page_names_every_anchor_when_linked(page: str) -> None:
    reader = Reader(page)
    ids = {attrs["id"] for _, attrs in reader.tags if "id" in attrs}
    links = {str(attrs["href"])[1:] for tag, attrs in reader.tags if tag == "a"}
    assert links <= ids


def test_chart_data_hold_measured_targets_only_when_some_were_not_run(page: str) -> None:
    found = re.search(r'id="tradeoff-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    assert len(json.loads(found[1])["points"]) == 8


def hostile(target: TargetRun) -> Diagnosed:
    """A diagnosis whose classes have a name that would break out."""
    assert target.diagnosed is not None
    told = target.diagnosed.floats
    chart, confusion, classes = told.charts[0], told.confusion, told.per_class
    assert confusion is not None
    assert classes is not None
    curve = chart.curves[0].model_copy(update={"name": HOSTILE})
    counted = ((HOSTILE,), (HOSTILE,), ((1,),))
    pairs = (Pair(truth=HOSTILE, answer=HOSTILE, count=1, of=1),)
    names = dict(zip(("truths", "answers", "counts"), counted, strict=True))
    row = classes.rows[0].model_copy(update={"name": HOSTILE})
    bad = told.model_copy(
        update={
            "charts": (chart.model_copy(update={"title": HOSTILE, "curves": (curve,)}),),
            "confusion": confusion.model_copy(update={**names, "pairs": pairs, "unit": HOSTILE}),
            "per_class": classes.model_copy(update={"rows": (row,), "unit": HOSTILE}),
            "notes": (HOSTILE,),
        }
    )
    return Diagnosed(ours=bad, floats=bad)


def test_names_stay_text_when_they_are_hostile(finished: Run) -> None:
    example = Example(HOSTILE, HOSTILE, 0.1)
    curation = Curation(
        HOSTILE,
        2,
        1,
        (ConceptRun(HOSTILE, 2, 1, 0.5, (example,), (example,)),),
        (ClassCount(HOSTILE, 2, 1),),
        (ConceptRun(HOSTILE, 2, 1, 0.5), ConceptRun("Concept 1", 1, 1, 0.5)),
    )
    target = finished.targets[0]
    assert target.verdicts is not None
    verdict = target.verdicts.verdicts[0].model_copy(
        update={"gate": HOSTILE, "reason": HOSTILE, "outcome": "fail"}
    )
    verdicts = target.verdicts.model_copy(update={"verdicts": (verdict,)})
    run = replace(
        finished,
        provenance=replace(finished.provenance, project=HOSTILE, machine=HOSTILE),
        curation=curation,
        targets=(
            replace(target, verdicts=verdicts, diagnosed=hostile(target)),
            *finished.targets[1:],
        ),
        thumbnails={HOSTILE: b"png"},
        absent=(HOSTILE,),
    )
    page = render(run)
    before = Reader(render(replace(run, absent=())))
    assert "onerror" not in {name for _, attrs in Reader(page).tags for name in attrs}
    assert len([tag for tag, _ in Reader(page).tags if tag == "script"]) == len(
        [tag for tag, _ in before.tags if tag == "script"]
    )
    assert Reader(page).text.count(HOSTILE) >= 6


def test_page_shows_what_was_right_and_wrong_when_it_was_told(page: str) -> None:
    text = " ".join(Reader(page).text.split())
    tags = Reader(page).tags
    assert [attrs.get("open", "no") for tag, attrs in tags if tag == "details"][:3] == [
        "no",  # the float network's answers, changed in nothing
        None,
        "no",
    ]
    assert text.count("5 answered as 6: 2 of 45 images (4.44 %)") == 4  # of the INT8 exports
    assert text.count("5 answered as 6: 1 of 45 images (2.22 %)") == 1  # of the float network
    assert "95.56 %float 97.78 %" in text
    assert text.count("3 AP 90.00 %") == 2 * 5  # a title and a legend
    assert text.count("Charts and counts are those of the float network.") == 4
    assert "4 91%" in text
    assert "int8: 5 51%" in text
    assert "Calibration error" in text


def test_page_needs_no_diagnosis_when_the_task_has_none(finished: Run) -> None:
    score = finished.targets[0].measurement.scores[0]  # type: ignore[union-attr]
    of = score.model_copy(update={"name": "within_one", "of": "ripe", "items": 7})
    bare = [
        replace(
            target,
            diagnosed=None if place else Diagnosed(ours=Diagnosis(), floats=Diagnosis()),
            changed=(),
            measurement=target.measurement.model_copy(update={"scores": (score, of)}),
        )
        for place, target in enumerate(finished.targets[:2])
        if target.measurement is not None
    ]
    page = render(replace(finished, targets=tuple(bare)))
    text = " ".join(Reader(page).text.split())
    assert "The float network" not in text
    assert text.count("ripe797.78 %96.4 to 98.9") == 2


def test_page_says_what_is_absent_when_nothing_has_run(empty: Run) -> None:
    text = " ".join(Reader(render(empty)).text.split())
    assert "Data: the ingest stage has not run" in text
    for sentence in (
        "No target has been exported yet.",
        "Nothing has been measured yet.",
        "No model has been trained yet.",
        "No training history was recorded.",
        "No manifest was found.",
        "No stage has left metrics.",
    ):
        assert sentence in text


@pytest.mark.parametrize("part", ["data", "curation"])
def test_page_is_whole_when_one_record_is_missing(finished: Run, part: str) -> None:
    assert "</html>" in render(replace(finished, **{part: None}))


def test_page_is_whole_when_targets_lack_some_records(finished: Run) -> None:
    first, second, third = finished.targets[:3]
    bare = (
        replace(first, measurement=None, verdicts=None),
        replace(second, exported=None, verdicts=None),
        replace(third, exported=None, measurement=None, verdicts=None),
    )
    text = " ".join(Reader(render(replace(finished, targets=bare))).text.split())
    assert "3 not run" in text
    assert "no verdicts were written for this target; run its validate stage" in text


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
PROBE = """
<script>
const order = () => [...document.querySelectorAll('#targets tbody')[1].rows]
  .map((row) => row.cells[0].textContent.trim());
const p50 = document.querySelectorAll('#targets table')[1].tHead.rows[0].cells[3];
p50.querySelector('button').click();
const up = order();
p50.querySelector('button').click();
const result = { up, down: order(), sort: p50.getAttribute('aria-sort') };
const box = document.getElementById('tradeoff-chart');
const x = document.getElementById('tradeoff-x');
// The chart draws itself once the browser has laid the page out, which takes its time under load.
const probe = () => {
  if (!box.querySelector('.mark-shape')) return requestAnimationFrame(probe);
  result.front = box.dataset.front;
  result.marks = box.querySelectorAll('.mark-shape').length;
  x.value = 'size';
  x.dispatchEvent(new Event('change'));
  result.smallest = box.dataset.front;
  box.querySelector('.mark-shape').dispatchEvent(new Event('pointerenter'));
  result.tip = document.getElementById('tradeoff-tip').textContent;
  document.title = JSON.stringify(result);
};
requestAnimationFrame(probe);
</script>
"""


CONCEPTS_PROBE = """
<script>
const probe = () => {
  const plots = [...document.querySelectorAll('.concept-chart .plot')];
  const marks = plots.map((plot) => [...plot.querySelectorAll('.mark-shape')]);
  if (!marks.length || !marks.every((found) => found.length)) return requestAnimationFrame(probe);
  const result = { counts: marks.map((found) => found.length) };
  result.stops = marks[0].filter((mark) => mark.tabIndex === 0).length;
  const press = (key) => document.activeElement.dispatchEvent(
    new KeyboardEvent('keydown', { key, bubbles: true }));
  marks[0][0].focus();
  press('ArrowRight');
  press('ArrowRight');
  press('ArrowLeft');
  result.place = marks[0].indexOf(document.activeElement);
  result.spoken = document.activeElement.getAttribute('aria-label');
  result.tip = document.querySelector('.concept-chart .tip').textContent;
  press('Escape');
  result.hidden = document.querySelector('.concept-chart .tip').hidden;
  result.lines = plots.map((plot) => plot.querySelectorAll('.line').length);
  document.title = JSON.stringify(result);
};
requestAnimationFrame(probe);
</script>
"""


def probed(page: str, probe: str, folder: Path) -> dict[str, Any]:
    """Open the page with a script added to it; return what the script leaves in the title."""
    (folder / "page.html").write_text(page.replace("</body>", probe + "</body>"))
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --dump-dom"
    command = [str(BROWSER), *flags.split(), "--virtual-time-budget=60000"]
    command += [f"--user-data-dir={folder / 'profile'}", (folder / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title is not None
    loaded: dict[str, Any] = json.loads(title[1].replace("&quot;", '"').replace("&amp;", "&"))
    return loaded


WIDTH_PROBE = """
<script>
addEventListener('load', () => {
  const inner = document.querySelector('iframe').contentDocument;
  for (const each of inner.querySelectorAll('details')) each.open = true;
  const root = inner.documentElement;
  document.title = JSON.stringify({ wide: root.scrollWidth, has: root.clientWidth });
});
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_page_needs_no_scrolling_sideways_on_a_phone(page: str, tmp_path: Path) -> None:
    # A window is never so narrow, a frame may be.
    frame = f'<iframe width="375" height="800" srcdoc="{escape(page)}"></iframe>'
    outer = f"<!doctype html><title></title><body>{frame}</body>"
    found = probed(outer, WIDTH_PROBE, tmp_path)
    assert 340 < found["has"] <= 375
    assert found["wide"] == found["has"]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_table_sorts_and_chart_draws_the_front_when_used_in_a_browser(
    page: str, tmp_path: Path
) -> None:
    found = probed(page, PROBE, tmp_path)
    assert found["up"][0] == "x86_64-openvino-int8"
    assert found["up"][-1] == "x86_64-executorch-int8"
    assert found["down"] == found["up"][::-1]
    assert found["sort"] == "descending"
    assert found["marks"] == 8
    assert found["front"] == "x86_64-openvino-int8 x86_64-openvino-fp32"
    assert found["smallest"].split()[0] == "x86_64-litert-int8"
    assert "latency p90" in found["tip"]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(("many", "stops"), [(10, 10), (60, 1)])
def test_concept_charts_speak_to_pointer_and_keyboard_when_used_in_a_browser(
    finished: Run, tmp_path: Path, many: int, stops: int
) -> None:
    assert finished.curation is not None
    numbers = tuple(
        ConceptRun(f"Concept {row}", 1000 + 30 * row, 500 + row, 0.01 * row) for row in range(many)
    )
    curation = replace(finished.curation, numbers=numbers)
    found = probed(render(replace(finished, curation=curation)), CONCEPTS_PROBE, tmp_path)
    assert found["counts"] == [many, many]
    assert found["stops"] == stops
    assert found["place"] == 1
    assert found["spoken"] == (
        "Concept 1: concept size 1030 images, kept 501 images, share kept 48.64 %, complexity 0.01"
    )
    assert "concept size1\u202f030 images" in found["tip"]
    assert found["hidden"]
    assert found["lines"] == [0, 2]
