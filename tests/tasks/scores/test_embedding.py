"""Embedding many pictures: the encoder's own numbers, in order, in bounded memory, whatever some of them are."""

from __future__ import annotations

import numpy as np
import torch

from tasks.encoders.clip import ClipEncoder
from tasks.records import ImageError
from tasks.scores.embedding import embed_pictures
from tests.tasks.actors.making import damaged_files, encoded, photograph


def test_pictures_are_embedded_as_the_encoder_does_it_in_their_order(encoder: ClipEncoder) -> None:
    pictures = [photograph(50 + 30 * n, 90 - 10 * n, seed=n) for n in range(5)]
    stream = ((n, lambda picture=picture: encoded(picture, "png")) for n, picture in enumerate(pictures))
    seen = list(embed_pictures(encoder, stream, batch=2))
    assert [one.key for one in seen] == list(range(5))
    expected_ND = encoder.embed_images([np.array(picture) for picture in pictures])
    torch.testing.assert_close(torch.stack([one.embedding_D for one in seen]), expected_ND, atol=1e-5, rtol=0)
    assert all(one.thumbnail_SSC is not None and one.thumbnail_SSC.shape == (168, 168, 3) for one in seen)


def test_a_picture_that_cannot_be_read_says_why_and_the_others_go_on(encoder: ClipEncoder) -> None:
    def refuse() -> bytes:
        raise PermissionError(13, "Permission denied")

    def missing() -> bytes:
        raise ImageError("missing", "the file is not there")

    damaged = damaged_files()
    stream = [(name, lambda data=data: data) for name, (data, _) in damaged.items()]
    good = encoded(photograph(60, 40, seed=1))
    stream += [("refused", refuse), ("missing", missing), ("good", lambda: good)]
    seen = {one.key: one for one in embed_pictures(encoder, stream)}
    reasons = {key: one.error.reason for key, one in seen.items() if one.error}
    assert reasons == {name: reason for name, (_, reason) in damaged.items()} | {
        "refused": "unreadable",
        "missing": "missing",
    }
    assert seen["good"].embedding_D is not None


def test_no_more_pictures_are_taken_than_are_under_way(encoder: ClipEncoder) -> None:
    taken: list[int] = []
    good = encoded(photograph(20, 20, seed=1))

    def endless():  # type: ignore[no-untyped-def]
        while True:
            taken.append(len(taken))
            yield len(taken), lambda: good

    stream = embed_pictures(encoder, endless(), batch=4)
    next(stream)
    assert len(taken) <= 4 + 16
    stream.close()
