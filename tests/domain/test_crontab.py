"""Crontabs: each line is exactly one thing, and a job keeps its meaning and its name."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronherd.domain.crontab import (
    LONGEST_DESCRIPTION,
    LONGEST_LINE,
    LONGEST_NAME,
    MOST_LINES,
    Crontab,
    CrontabEntry,
    CrontabLine,
    CrontabRefusal,
    CrontabSetting,
    Kind,
    guess_kind,
    parse_crontab,
)

OWN = Path(__file__).resolve().parents[1] / "crontabs"
USER, SYSTEM = Kind.USER, Kind.SYSTEM
CORPUS = os.environ.get("CRONHERD_CORPUS", "")


def read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def own(name: str, kind: Kind = USER, *, commented: bool = False) -> Crontab:
    return parse_crontab(read(OWN / f"{name}.crontab"), kind, commented=commented)


def one(text: str, kind: Kind = USER) -> CrontabEntry:
    (entry,) = parse_crontab(f"{text}\n", kind).entries
    return entry


def refusal(text: str, kind: Kind = USER) -> CrontabRefusal:
    (refused,) = parse_crontab(f"{text}\n", kind).refusals
    return refused


def check_lines(crontab: Crontab, text: str) -> None:
    lines = text.removeprefix("\ufeff").split("\n")
    expected = lines if lines[-1] else lines[:-1]
    assert [line.line for line in crontab.lines] == list(range(1, len(expected) + 1))
    for line, raw in zip(crontab.lines, expected, strict=True):
        assert isinstance(line, CrontabLine)
        assert line.text == raw.removesuffix("\r")
    given_names = [entry.name for entry in crontab.entries]
    assert len(set(given_names)) == len(given_names)
    for entry in crontab.entries:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.name)
        assert len(entry.name) <= LONGEST_NAME
        assert len(entry.description) <= LONGEST_DESCRIPTION
        assert entry.command.strip()
        assert (entry.user is not None) == (crontab.kind is SYSTEM)
    assert all(refused.reason and refused.hint for refused in crontab.refusals)


@pytest.mark.parametrize(
    ("text", "schedule", "command", "stdin"),
    [
        ("30 2 * * * /srv/x", "30 2 * * *", "/srv/x", None),
        (" \t05\t08-18 * *\tmon-FRI   a  b  ", "5 8-18 * * MON-FRI", "a  b", None),
        ("@daily x", "@daily", "x", None),
        ("@Midnight\t x", "@midnight", "x", None),
        ("-*/5 * * * * x", "*/5 * * * *", "x", None),
        ("- 5 * * * * x", "5 * * * *", "x", None),
        ("* * * * * a=1 b", "* * * * *", "a=1 b", None),
        (r"* * * * * date +\%F", "* * * * *", "date +%F", None),
        ("* * * * * mail joe%Dear Joe,%%bye", "* * * * *", "mail joe", "Dear Joe,\n\nbye\n"),
        (r"* * * * * cat%100\% sure\\%", "* * * * *", "cat", "100% sure\\%\n"),
        ("* * * * * cat%", "* * * * *", "cat", ""),
        (r"* * * * * printf '\\n\n'", "* * * * *", r"printf '\n\n'", None),
        ("* * * * * touch a\\ ", "* * * * *", "touch a\\ ", None),
        ("* * * * * a # b", "* * * * *", "a # b", None),
        ("* * * * * {{ cron }} task", "* * * * *", "{{ cron }} task", None),
    ],
)
def test_it_reads_a_job(text: str, schedule: str, command: str, stdin: str | None) -> None:
    entry = one(text)
    assert (entry.schedule, entry.command, entry.stdin) == (schedule, command, stdin)
    assert (entry.line, entry.text, entry.user, entry.enabled) == (1, text, None, True)


@pytest.mark.parametrize(
    ("text", "user", "command"),
    [
        ("17 * * * *\troot    cd / && run", "root", "cd / && run"),
        ("@daily www-data php cron.php", "www-data", "php cron.php"),
        ("0 1 * * * svc_backup$ run", "svc_backup$", "run"),
    ],
)
def test_it_reads_the_user_of_a_system_crontab(text: str, user: str, command: str) -> None:
    entry = one(text, SYSTEM)
    assert (entry.user, entry.command) == (user, command)


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("@never x", USER, "is not a known name for a schedule"),
        ("@every 5m x", USER, "'@every 5m' is an interval"),
        ("0 */5 * * * * x", USER, "looks like six fields: this version has five"),
        ("0 0 12 * * MON x", USER, "looks like six fields"),
        ("0 0 0 1 1 * * x", USER, "looks like seven fields"),
        ("0 7 * * * * root x", SYSTEM, "looks like six fields"),
        ("0 0 31 2 * x", USER, "no date ever matches"),
        ("{{ minute }} 3 * * * x", USER, "template placeholder"),
        ("%%PREFIX%% 3 * * * x", USER, "template placeholder"),
        ("0 2 * * * root:wheel x", SYSTEM, "'root:wheel' names a group or class"),
        ("0 2 * * * root/daemon x", SYSTEM, "'root/daemon' names a group or class"),
        ("0 2 * * * /usr/bin/x", SYSTEM, "no user column? is it a user crontab?"),
        ("0 2 * * * cd /srv && x", SYSTEM, "'cd' is not a user"),
        ("0 2 * * *", SYSTEM, "no user column?"),
        ("0 2 * * * root", SYSTEM, "there is no command"),
        ("0 2 * * *", USER, "there is no command"),
        ("0 2 * * * %text", USER, "there is no command"),
        ("0 2 * *", USER, "neither a setting nor five fields"),
        ("\x0b", USER, "neither a setting nor five fields"),
        ("0 2 * * * a\0b", USER, "NUL character"),
        ("A=\0", USER, "NUL character"),
        (f"0 2 * * * {'x' * LONGEST_LINE}", USER, "longer than"),
        ('A="open', USER, "the quote of the value is not closed"),
        ("A='b' c", USER, "text behind the closing quote"),
        ("1A=b", USER, "'1A' does not name a variable"),
        ("CRON_TZ=Mars/Olympus", USER, "unknown time zone 'Mars/Olympus'"),
    ],
)
def test_it_refuses_with_a_reason(text: str, kind: Kind, reason: str) -> None:
    refused = refusal(text, kind)
    assert reason in refused.reason
    assert refused.hint
    assert (refused.line, refused.text) == (1, text)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("A=b", "A", "b"),
        ("  A \t=  b c  ", "A", "b c"),
        ('A="  b  "', "A", "  b  "),
        ("A='it is \"so\"'  ", "A", 'it is "so"'),
        ('"A"=b', "A", "b"),
        ("A=b # c", "A", "b # c"),
        ("A=b'c", "A", "b'c"),
        ("A=", "A", ""),
    ],
)
def test_it_reads_a_setting_as_debian_does(text: str, name: str, value: str) -> None:
    (setting,) = parse_crontab(f"{text}\n", USER).lines
    assert isinstance(setting, CrontabSetting)
    assert (setting.name, setting.value) == (name, value)


def test_it_gives_each_job_the_settings_above_it() -> None:
    crontab = parse_crontab("@daily a\nA=1\nMAILTO=x\n@daily b\nA=2\nMAILTO=''\n@daily c\n", USER)
    assert [dict(entry.environment) for entry in crontab.entries] == [{}, {"A": "1"}, {"A": "2"}]
    assert [entry.mailto for entry in crontab.entries] == [None, "x", ""]


def test_it_follows_cron_tz_and_leaves_tz_to_the_command() -> None:
    first, *_, last = own("zones").entries
    berlin = own("zones").entries[1]
    assert (first.timezone, berlin.timezone, last.timezone) == (None, "Europe/Berlin", None)
    assert first.environment["TZ"] == "America/New_York"
    assert "CRON_TZ" not in berlin.environment
    notes = [note for line in own("zones").lines for note in getattr(line, "notes", ())]
    assert any("follow CRON_TZ as in cronie" in note for note in notes)
    assert not any("CRON_TZ" in note for note in (*first.notes, *berlin.notes))


def test_it_refuses_the_jobs_below_an_unknown_zone() -> None:
    reasons = [refused.reason for refused in own("refused").refusals]
    assert reasons[-1] == "its CRON_TZ in line 28 is not a known time zone"
    assert [entry.timezone for entry in own("refused").entries] == ["Europe/Berlin"]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("-5 * * * * x", "the leading - (do not log) of SuSE's cron was left out"),
        ("*/90 * * * * x", "a step beyond 59 in the minute field leaves its first value only"),
        ("0 0 L * * x", "L is the last one, as in Quartz: Debian's cron refuses it"),
        ("0 0 * * 1#2 x", "MON#2 is the second Monday"),
        ("0 0 * * * if [ -x %%PREFIX%%/x ]; then y; fi", "%%…%% looks like a placeholder"),
    ],
)
def test_it_notes_a_changed_meaning(text: str, note: str) -> None:
    (found,) = one(text).notes
    assert note in found


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("@daily a\r\n", "lines end with CR LF"),
        ("@daily a", "the last line has no newline"),
        ("\ufeff@daily a\n", "the byte order mark"),
        ("@daily mail a\n@hourly sys b\n", "line 1: is 'mail' a user? a system crontab"),
    ],
)
def test_it_notes_what_is_odd_about_a_file(text: str, note: str) -> None:
    crontab = parse_crontab(text, USER)
    assert [note in found for found in crontab.notes] == [True]
    assert len(crontab.entries) >= 1


def test_it_has_nothing_to_note_about_a_plain_file() -> None:
    crontab = own("user")
    assert crontab.notes == ()
    assert all(entry.notes == () for entry in crontab.entries)


@pytest.mark.parametrize(
    ("remarks", "description"),
    [
        ("# Nightly backup", "Nightly backup"),
        ("# Two\n#first days of the month", "Two first days of the month"),
        ("# Far away\nA=b", ""),
        ("# m h dom mon dow command", ""),
        ("#minute\thour\tmday\tmonth\twday\twho\tcommand", ""),
        ("# .---------------- minute (0 - 59)\n# |  |  |", ""),
        ("# DO NOT EDIT THIS FILE - edit the master and reinstall.", ""),
        ("# (/tmp/crontab.X/crontab installed on Tue Dec  1 14:26:01 2009)", ""),
        ("# About the file\n#\n# About the job\n#", "About the job"),
        ("#-------\n# Box\n#-------", "Box"),
        ("# --- Trains ---", "Trains"),
        ("#MAILTO=nobody", ""),
        ("# 0/15 * * * * not a schedule", ""),
        ("# a job, then its old form\n#0 1 * * * old", "a job, then its old form"),
        ("# of the old one\n#0 1 * * * old\n# of this one", "of this one"),
    ],
)
def test_it_takes_the_remark_right_above_as_description(remarks: str, description: str) -> None:
    assert one(f"{remarks}\n0 0 * * * /srv/x").description == description


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("# Nightly backup of the orders. Takes long.\n@daily x", "nightly-backup-of-the-orders"),
        ("# 水曜日 12:05\n@daily /usr/bin/brew update", "brew-update"),
        ("@daily /srv/orders/backup.sh --full >> /var/log/b.log 2>&1", "backup"),
        ("@daily cd / && run-parts --report /etc/cron.hourly", "run-parts-cron-hourly"),
        (
            "@daily test -x /usr/sbin/a || ( cd / && run-parts /etc/cron.daily )",
            "run-parts-cron-daily",
        ),
        ("@daily A=b nice -n 10 $HOME/bin/mail-sync", "mail-sync"),
        ("@daily /usr/local/bin/asmcfan>/dev/null", "asmcfan"),
        ("@daily {{ cron }} rebuild_kb", "cron-rebuild-kb"),
        ("@daily ~", "job"),
    ],
)
def test_it_names_a_job_by_what_it_does(text: str, name: str) -> None:
    assert one(text).name == name


def test_it_tells_equal_names_apart_by_what_the_jobs_are() -> None:
    few = "@daily rs -a\n@daily rs -b\n"
    more = "# new\n@daily new\n\n@daily rs -b\n@daily rs -c\n\n@daily rs -a\n"
    before = {entry.command: entry.name for entry in parse_crontab(few, USER).entries}
    after = {entry.command: entry.name for entry in parse_crontab(more, USER).entries}
    assert len(set(before.values())) == 2
    assert all(re.fullmatch(r"rs-[0-9a-f]{6}", name) for name in before.values())
    assert {command: after[command] for command in before} == before


def test_it_counts_identical_lines_in_order() -> None:
    first, *others = (entry.name for entry in parse_crontab("@daily x1y\n" * 3, USER).entries)
    assert others == [f"{first}-2", f"{first}-3"]


def test_it_offers_commented_out_jobs_as_disabled() -> None:
    offered = own("switched-off", commented=True).entries
    assert {entry.line: entry.enabled for entry in offered} == {
        2: False,
        3: True,
        7: False,
        12: True,
    }
    assert [entry.description for entry in offered] == [*["Nightly report"] * 2, "Archive", ""]


def test_it_names_the_enabled_jobs_alike_with_and_without_the_disabled_ones() -> None:
    asked = {entry.line: entry.name for entry in own("switched-off", commented=True).entries}
    plain = {entry.line: entry.name for entry in own("switched-off").entries}
    assert plain.items() <= asked.items()


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("/etc/crontab", "", SYSTEM),
        ("/etc/cron.d/backup", "", SYSTEM),
        ("/mnt/host/etc/cron.d/backup", "", SYSTEM),
        ("/var/spool/cron/crontabs/root", "@daily root x\n", USER),
        ("-", "# m h dom mon dow user\tcommand\n", SYSTEM),
        ("-", "# m h dom mon dow command\n", USER),
    ],
)
def test_it_guesses_the_kind_by_the_path(path: str, text: str, kind: Kind) -> None:
    assert guess_kind(path, text) is kind


@pytest.mark.parametrize("path", sorted(OWN.glob("*.crontab")), ids=lambda path: path.stem)
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("commented", [False, True])
def test_it_accounts_for_each_line_of_our_crontabs(path: Path, kind: Kind, commented: bool) -> None:  # noqa: FBT001
    check_lines(parse_crontab(read(path), kind, commented=commented), read(path))


@pytest.mark.skipif(not CORPUS, reason="CRONHERD_CORPUS names no folder of crontabs")
def test_it_accounts_for_each_line_of_the_corpus() -> None:
    rows = [row.split("\t") for row in (Path(CORPUS) / "index.tsv").read_text("utf-8").splitlines()]
    for number, _, _, _, kind, *_ in rows[1:]:
        path = Path(CORPUS) / f"{number}.crontab"
        chosen = SYSTEM if kind == "system" else USER
        for commented in (False, True):
            check_lines(parse_crontab(read(path), chosen, commented=commented), read(path))


def test_it_reads_our_crontabs_as_they_are_meant() -> None:
    found: dict[str, tuple[int, int]] = {}
    for path in OWN.glob("*.crontab"):
        crontab = parse_crontab(read(path), guess_kind(str(path), read(path)))
        found[path.stem] = (len(crontab.entries), len(crontab.refusals))
    assert found == {
        "user": (13, 0),
        "switched-off": (2, 0),
        "refused": (1, 29),
        "zones": (5, 0),
        "quartz": (10, 0),
        "system": (6, 6),
        "looks-like-system": (2, 0),
        "crlf": (2, 0),
        "latin-1": (2, 0),
        "no-final-newline": (2, 0),
        "dirt": (3, 7),
    }


# Half of the text is nearly a crontab: plain noise would never get past the first field.
PARTS = st.sampled_from(
    [
        *("\n", "\r\n", " ", "\t", "#", "%", "\\", "=", '"', "'", "@", "-", "\0", "\ufeff", "~"),
        *("* * * * * ", "30 2 * * * ", "0 0 31 2 * ", "@daily ", "@reboot ", "# a job\n", "root "),
        *("CRON_TZ=", "MAILTO=", "Europe/Berlin", "A=b\n", "/bin/x", "\udce9", "é", "{{ x }}"),
    ]
)
TEXT = st.one_of(st.text(alphabet=st.characters()), st.lists(PARTS, max_size=40).map("".join))


@settings(deadline=None)  # the first zone asked for reads the list of zones
@given(TEXT, st.sampled_from(Kind), st.booleans())
def test_it_accounts_for_each_line_of_any_text(text: str, kind: Kind, commented: bool) -> None:  # noqa: FBT001
    check_lines(parse_crontab(text, kind, commented=commented), text)


JOBS = st.lists(
    st.tuples(
        st.sampled_from(["", "# same\n", "# other\n", "\n"]),
        st.sampled_from(["@daily ", "0 1 * * * "]),
        st.sampled_from(["a1a", "sync --a", "sync --b", "cd /x; sync"]),
    ).map("".join),
    max_size=8,
)


@given(JOBS, st.integers(0, 8))
def test_it_renames_nothing_when_another_job_comes_in(jobs: list[str], place: int) -> None:
    def named(lines: list[str]) -> list[str]:
        text = "\n\n".join(lines) + "\n"
        return [entry.name for entry in parse_crontab(text, USER).entries]

    before = named(jobs)
    after = named([*jobs[:place], "# brand new\n@hourly brand-new", *jobs[place:]])
    assert [name for name in after if name != "brand-new"] == before


def test_it_stops_at_a_file_that_is_no_crontab() -> None:
    crontab = parse_crontab("@daily x\n" * (MOST_LINES + 2), USER)
    assert len(crontab.entries) == MOST_LINES
    assert [refused.line for refused in crontab.refusals] == [MOST_LINES + 1, MOST_LINES + 2]


@pytest.mark.timeout(5)
@pytest.mark.parametrize("run", ["-", "%", "\\", " ", "#", "=", "A", '"', "*", ",", "(", "5 "])
def test_it_reads_the_longest_line_in_no_time(run: str) -> None:
    long = run * (LONGEST_LINE // len(run) // 2)
    text = f"{long}x\n# {long}x\n@daily {long}x\nA={long}x\n#{long * 20}\n"
    check_lines(parse_crontab(text, USER, commented=True), text)
