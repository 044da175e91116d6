"""``validate.py {cyclonedx|provenance} FILE``: exit code 1 and a reason for what is not valid.

It runs in an environment of its own: see the BUILD file.
"""

import json
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage


def cyclonedx(text: str) -> None:
    version = json.loads(text)["specVersion"]
    error = JsonStrictValidator(SchemaVersion.from_version(version)).validate_str(text)
    if error is not None:
        raise ValueError(error)


def provenance(text: str) -> None:
    """Raises for a field that is unknown, of another type or missing. What the schemas of SLSA do
    not say is required is looked at by hand."""
    data = json.loads(text)
    Statement.copy_from_pb(ParseDict(data, StatementMessage())).validate()
    message = ParseDict(data["predicate"], Provenance())
    definition = message.build_definition
    assert definition.build_type and definition.external_parameters.fields
    assert message.run_details.builder.id
    for dependency in definition.resolved_dependencies:
        ResourceDescriptor.copy_from_pb(dependency).validate()


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as file:
        {"cyclonedx": cyclonedx, "provenance": provenance}[sys.argv[1]](file.read())
