"""What a controller may expect of an API server, as tests.

Each class is collected twice: against the fake cluster (`tests/component/test_contract.py`) and
against a real kube-apiserver (`tests/integration/test_contract.py`). A case that only one of them
passes is a defect of the fake.
"""
