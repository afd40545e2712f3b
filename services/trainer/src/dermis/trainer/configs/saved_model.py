"""Any SavedModel or Keras file as a frozen backbone: the head on its features, cached.

Train     dermis train saved_model --data URL --store URL --set image_size=448
          --set backbone=file:///models/derm-foundation
          The model takes pixels of 0-255, float32[N,S,S,3], and gives a map [N,h,w,C] or a vector [N,C] an image
Hardware  as the model needs
Result    not measured: docs/how-to/train.md says why
"""

from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head

CONFIG = Config(
    name="saved_model",
    backbone="file:///models/backbone.keras",
    weights="published",
    head=Head(pooling="images", standardised=True, l2=0.01),
    stages=(Stage(epochs=25, learning_rate=3e-3),),
)
