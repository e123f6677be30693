import hashlib

import pytest

from yolo.data.validate.splits import Plan, draw, plan
from yolo.errors import UserError

AUTOMATIC = {"train": None, "val": None, "test": None}


def drawn(planned: Plan, val: float = 0.1, test: float = 0.2, seed: int = 0, **options):
    return draw(
        planned,
        {"val": val, "test": test},
        seed,
        content=options.get("content", lambda name: name),
        group=options.get("group", lambda name: None),
    )


def test_splits_of_the_set_are_used() -> None:
    published = {"train": ["b", "a"], "val": ["c"], "test": ["d"], "trainval": ["a", "b", "c"]}
    planned = plan(published, list("abcd"), AUTOMATIC)
    assert planned.lists == {"train": ["b", "a"], "val": ["c"], "test": ["d"]}
    assert planned.drawn == ()
    assert drawn(planned) == planned.lists


def test_named_splits_are_joined() -> None:
    published = {"VOC2007/trainval": ["7"], "VOC2012/trainval": ["12"], "VOC2007/test": ["t"]}
    wanted = {
        "train": ["VOC2007/trainval", "VOC2012/trainval"],
        "val": ["VOC2007/test"],
        "test": ["VOC2007/test"],
    }
    assert plan(published, [], wanted).lists == {"train": ["7", "12"], "val": ["t"], "test": ["t"]}


def test_a_name_that_the_set_lacks_is_an_error_that_lists_those_it_has() -> None:
    wanted = {"train": ["trainvla"], "val": None}
    with pytest.raises(UserError, match=r"splits\.train names 'trainvla'.*it has train, val"):
        plan({"train": ["a"], "val": ["b"]}, ["a", "b"], wanted)


def test_training_is_trainval_without_the_others() -> None:
    planned = plan({"trainval": ["a", "b", "c"], "val": ["b"], "test": ["t"]}, [], AUTOMATIC)
    assert planned.lists == {"train": ["a", "c"], "val": ["b"], "test": ["t"]}


def test_training_is_everything_else_without_lists() -> None:
    planned = plan({"test": ["b"]}, ["a", "b", "c"], {"train": None, "test": None})
    assert planned.lists == {"train": ["a", "c"], "test": ["b"]}


def test_own_split_that_another_split_asked_for_is_drawn_from_train_instead() -> None:
    # The original experiment: train on 2012 train, choose on a tenth of it, test on 2012 val.
    published = {"train": [str(i) for i in range(20)], "val": ["v"], "trainval": ["0", "v"]}
    planned = plan(published, [], {"train": ["train"], "val": None, "test": ["val"]})
    assert planned.drawn == ("val",)
    lists = drawn(planned)
    assert lists["test"] == ["v"]
    assert len(lists["val"]) == 2
    assert len(lists["train"]) == 18
    assert set(lists["val"]) <= set(published["train"])


def test_own_validation_split_within_a_named_trainval_is_drawn_instead() -> None:
    published = {"trainval": list("abcdefghij"), "val": ["a"], "test": ["t"]}
    planned = plan(published, [], {"train": ["trainval"], "val": None, "test": None})
    assert planned.drawn == ("val",)
    assert planned.lists["test"] == ["t"]


def test_shares_are_of_all_training_pictures_and_apart() -> None:
    names = [f"{i:03}" for i in range(100)]
    lists = drawn(plan({}, names, AUTOMATIC))
    assert [len(lists[split]) for split in ("train", "val", "test")] == [70, 10, 20]
    assert sorted(lists["train"] + lists["val"] + lists["test"]) == names
    assert lists["train"] == sorted(lists["train"])


def test_the_draw_ranks_pictures_by_a_hash_of_seed_and_content() -> None:
    names = [f"{i:03}" for i in range(10)]
    rank = sorted(names, key=lambda name: hashlib.sha256(f"5:{name}".encode()).digest())
    lists = drawn(plan({}, names, AUTOMATIC), seed=5)
    assert set(lists["val"]) == set(rank[:1])
    assert set(lists["test"]) == set(rank[1:3])


def test_another_seed_draws_others_and_the_same_seed_the_same() -> None:
    planned = plan({}, [str(i) for i in range(100)], AUTOMATIC)
    assert drawn(planned, seed=1) == drawn(planned, seed=1)
    assert drawn(planned, seed=1)["val"] != drawn(planned, seed=2)["val"]


def test_a_picture_that_is_added_moves_few() -> None:
    before = drawn(plan({}, [str(i) for i in range(100)], AUTOMATIC))
    after = drawn(plan({}, [str(i) for i in range(101)], AUTOMATIC))
    assert len(set(before["test"]) ^ set(after["test"])) <= 3


def test_identical_pictures_stay_together() -> None:
    names = [str(i) for i in range(40)]
    lists = drawn(
        plan({}, names, AUTOMATIC), val=0.25, test=0.25, content=lambda name: str(int(name) // 4)
    )
    places = {name: split for split, pictures in lists.items() for name in pictures}
    assert all(len({places[str(4 * i + j)] for j in range(4)}) == 1 for i in range(10))


def test_each_class_gives_the_same_share() -> None:
    names = [f"{label}{i:02}" for label in "abcd" for i in range(20)]
    lists = drawn(plan({}, names, AUTOMATIC), group=lambda name: name[0])
    for label in "abcd":
        assert sum(name[0] == label for name in lists["val"]) == 2
        assert sum(name[0] == label for name in lists["test"]) == 4


def test_small_classes_do_not_all_round_to_nothing() -> None:
    names = [f"{label}{i}" for label in "abcdefghij" for i in range(3)]
    lists = drawn(plan({}, names, {"train": None, "val": None}), group=lambda name: name[0])
    assert len(lists["val"]) == 3
    assert {name[0] for name in lists["train"]} == set("abcdefghij")


def test_too_few_pictures_for_the_shares_is_an_error() -> None:
    with pytest.raises(UserError, match="2 images are too few to draw the split test"):
        drawn(plan({}, ["a", "b"], AUTOMATIC))


def test_nothing_left_for_training_is_an_error() -> None:
    with pytest.raises(UserError, match=r"no image is left for the split train.*val"):
        plan({"val": ["a"]}, ["a"], {"train": None, "val": None})


def test_repeats_in_a_list_stay_for_the_rules_to_find() -> None:
    assert plan({"train": ["a", "a"]}, ["a"], {"train": None}).lists == {"train": ["a", "a"]}
