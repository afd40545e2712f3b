from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Choices(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class SelfReport(_message.Message):
    __slots__ = ("age_group", "sex_at_birth", "fitzpatrick_skin_type", "monk_skin_tone", "race_ethnicity", "textures", "body_parts", "condition_symptoms", "other_symptoms", "related_category", "condition_duration")
    AGE_GROUP_FIELD_NUMBER: _ClassVar[int]
    SEX_AT_BIRTH_FIELD_NUMBER: _ClassVar[int]
    FITZPATRICK_SKIN_TYPE_FIELD_NUMBER: _ClassVar[int]
    MONK_SKIN_TONE_FIELD_NUMBER: _ClassVar[int]
    RACE_ETHNICITY_FIELD_NUMBER: _ClassVar[int]
    TEXTURES_FIELD_NUMBER: _ClassVar[int]
    BODY_PARTS_FIELD_NUMBER: _ClassVar[int]
    CONDITION_SYMPTOMS_FIELD_NUMBER: _ClassVar[int]
    OTHER_SYMPTOMS_FIELD_NUMBER: _ClassVar[int]
    RELATED_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    CONDITION_DURATION_FIELD_NUMBER: _ClassVar[int]
    age_group: str
    sex_at_birth: str
    fitzpatrick_skin_type: str
    monk_skin_tone: str
    race_ethnicity: Choices
    textures: Choices
    body_parts: Choices
    condition_symptoms: Choices
    other_symptoms: Choices
    related_category: str
    condition_duration: str
    def __init__(self, age_group: _Optional[str] = ..., sex_at_birth: _Optional[str] = ..., fitzpatrick_skin_type: _Optional[str] = ..., monk_skin_tone: _Optional[str] = ..., race_ethnicity: _Optional[_Union[Choices, _Mapping]] = ..., textures: _Optional[_Union[Choices, _Mapping]] = ..., body_parts: _Optional[_Union[Choices, _Mapping]] = ..., condition_symptoms: _Optional[_Union[Choices, _Mapping]] = ..., other_symptoms: _Optional[_Union[Choices, _Mapping]] = ..., related_category: _Optional[str] = ..., condition_duration: _Optional[str] = ...) -> None: ...

class EncodeFeaturesRequest(_message.Message):
    __slots__ = ("feature_schema_id", "self_report")
    FEATURE_SCHEMA_ID_FIELD_NUMBER: _ClassVar[int]
    SELF_REPORT_FIELD_NUMBER: _ClassVar[int]
    feature_schema_id: str
    self_report: SelfReport
    def __init__(self, feature_schema_id: _Optional[str] = ..., self_report: _Optional[_Union[SelfReport, _Mapping]] = ...) -> None: ...

class EncodeFeaturesResponse(_message.Message):
    __slots__ = ("features",)
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, features: _Optional[_Iterable[float]] = ...) -> None: ...

class BatchEncodeFeaturesRequest(_message.Message):
    __slots__ = ("feature_schema_id", "self_reports")
    FEATURE_SCHEMA_ID_FIELD_NUMBER: _ClassVar[int]
    SELF_REPORTS_FIELD_NUMBER: _ClassVar[int]
    feature_schema_id: str
    self_reports: _containers.RepeatedCompositeFieldContainer[SelfReport]
    def __init__(self, feature_schema_id: _Optional[str] = ..., self_reports: _Optional[_Iterable[_Union[SelfReport, _Mapping]]] = ...) -> None: ...

class BatchEncodeFeaturesResponse(_message.Message):
    __slots__ = ("features", "rows", "columns")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    features: bytes
    rows: int
    columns: int
    def __init__(self, features: _Optional[bytes] = ..., rows: _Optional[int] = ..., columns: _Optional[int] = ...) -> None: ...

class DescribeFeatureSchemaRequest(_message.Message):
    __slots__ = ("feature_schema_id",)
    FEATURE_SCHEMA_ID_FIELD_NUMBER: _ClassVar[int]
    feature_schema_id: str
    def __init__(self, feature_schema_id: _Optional[str] = ...) -> None: ...

class DescribeFeatureSchemaResponse(_message.Message):
    __slots__ = ("schema_json", "columns", "promotable")
    SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    PROMOTABLE_FIELD_NUMBER: _ClassVar[int]
    schema_json: str
    columns: _containers.RepeatedScalarFieldContainer[str]
    promotable: bool
    def __init__(self, schema_json: _Optional[str] = ..., columns: _Optional[_Iterable[str]] = ..., promotable: _Optional[bool] = ...) -> None: ...
