"""Faces drawn here, in the manner of Olivetti's: encode, decode, and exchange a subspace."""

import torch

from isavae.data.drawn import faces
from isavae.estimator import ISAVAE

views = [faces.render(faces.heads(n=6), azimuth, 0) for azimuth in faces.AZIMUTHS]
images = torch.stack(views).flatten(0, 2)  # azimuth, head and light: (1386, 64, 64)
images = torch.nn.functional.avg_pool2d(images, 4).numpy()  # 16 x 16

model = ISAVAE((2, 2, 2), beta=1.0, likelihood="gaussian(0.1)", max_iter=300, random_state=0).fit(
    images
)
codes = model.transform(images)
print("latents:", *model.get_feature_names_out())
print("spread of the codes:", codes.std(0).round(2))
error = ((model.inverse_transform(codes) - images) ** 2).mean() / images.var(0).mean()
print(f"variance left unexplained: {error:.0%}")
swapped = codes[:1].copy()
swapped[0, :2] = codes[-1, :2]  # the first subspace of another face
print("a face with another's first subspace:", model.inverse_transform(swapped).shape)
