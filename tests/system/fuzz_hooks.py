"""What schemathesis can't make up: images that can be read, and a store that a batch may take them from.

Loaded by its own process.
"""

import os
from typing import Any

import schemathesis
from hypothesis import strategies as st
from pydantic import ValidationError

from dermis.gateway.batch_schemas import BatchSource
from tests.support import images

SOURCE = os.environ["DERMIS_FUZZ_SOURCE"]
_SEEN = images.quarters(height=300, width=300)
_FORMS = {f"image/{form.lower()}": images.encode(_SEEN, form) for form in ("JPEG", "PNG", "WEBP")}

for _name, _image in _FORMS.items():
    schemathesis.openapi.media_type(
        _name, st.just(_image) | st.just(_image[: len(_image) // 2]) | st.binary(max_size=64)
    )
schemathesis.openapi.media_type("application/offset+octet-stream", st.binary(max_size=64))
schemathesis.openapi.media_type(
    "text/csv", st.sampled_from([b"images,name\na.jpg;b.jpg,one\nnone.jpg,two\n", b"images\n", b"nonsense"])
)


@schemathesis.hook.apply_to(method="POST", path="/v1/batches")  # type: ignore[attr-defined, untyped-decorator]
def flatmap_body(context: schemathesis.HookContext, body: Any) -> st.SearchStrategy[Any]:  # noqa: ARG001 - the hook's
    try:
        BatchSource.model_validate(body, strict=True)
    except ValidationError:  # wrong on purpose: it stays so
        return st.just(body)
    return st.sampled_from([{**body, "url": SOURCE, "prefix": "", "csv": None}, {**body, "url": SOURCE}, body])


@schemathesis.hook.apply_to(method="POST", path="/v1/batches")  # type: ignore[attr-defined, untyped-decorator]
def flatmap_query(context: schemathesis.HookContext, query: Any) -> st.SearchStrategy[Any]:  # noqa: ARG001 - the hook's
    return st.sampled_from([{**query, "url": SOURCE}, query]) if isinstance(query, dict) else st.just(query)
