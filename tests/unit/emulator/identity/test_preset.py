from smalt.emulator import default_fleet
from smalt.emulator.identity.directory import Directory
from smalt.emulator.identity.roles import ROLES


def test_the_default_fleet_can_be_used_by_identity() -> None:
    """The application and the machine may use every resource and read every key in the vault."""
    fleet = default_fleet(0)
    directory = Directory(fleet.identity, fleet.arm_ids())
    chat = "Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action"
    for principal in directory.spec.principals.values():
        assert all(role in ROLES for roles in principal.roles.values() for role in roles)
        for resource in fleet.resources.values():
            assert directory.allows(principal, chat, resource.arm_id, 0, data=True)
    assert fleet.vaults["vault"].secrets["east-key"] == fleet.resources["east"].keys[0]


def test_its_ports_follow_those_of_the_resources() -> None:
    """Numbered on from a base, free ones without."""
    fleet = default_fleet(8100)
    assert fleet.identity
    ports = (fleet.identity.authority_port, fleet.identity.metadata_port, fleet.identity.arm_port)
    assert (*ports, fleet.vaults["vault"].port) == (8104, 8105, 8106, 8107)
    free = default_fleet(0).identity
    assert free
    assert free.authority_port == 0
