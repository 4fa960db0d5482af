"""The clock and the dice."""

import uuid

from numberkeep.world import World


def test_time_moves_with_the_offset_and_never_back() -> None:
    seconds = 1_572_373_530.392
    world = World(clock=lambda: seconds)
    assert world.now() == "2019-10-29T18:25:30.392Z"
    world.offset_seconds = 72 * 3600
    assert world.now() == "2019-11-01T18:25:30.392Z"
    seconds -= 3600  # somebody sets the machine's clock back
    assert world.now() == "2019-11-01T18:25:30.392Z"
    assert world.real_seconds() == seconds
    world.reset()
    assert world.now() == "2019-10-29T17:25:30.392Z"
    world.reset(-3600)
    assert world.now() == "2019-10-29T16:25:30.392Z"


def test_ids_are_uuids_of_version_4_in_lower_case() -> None:
    world = World()
    ids = {world.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    for text in ids:
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)


def test_a_seed_repeats_everything() -> None:
    one, other = World(seed=7), World(seed=7)
    assert [one.new_id(), one.new_secret()] == [other.new_id(), other.new_secret()]
    assert one.new_secret() != one.new_secret()
    assert World().new_secret() != World().new_secret()


def test_new_dice_fall_the_same_way_whatever_others_throw() -> None:
    one, other = World(seed=7), World(seed=7)
    of_one, of_other = one.new_dice(), other.new_dice()
    one.new_id()
    assert of_one.random() == of_other.random()
    assert one.new_dice().random() != of_one.random()
