import numpy as np

from dpig_tf2.io import hashes

# Published test vector of FIPS 180-2.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_hash_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert hashes.sha256(tmp_path / "a") == ABC


def test_texts_are_kept_apart():
    assert hashes.sha256_of_texts(["ab", "c"]) != hashes.sha256_of_texts(["a", "bc"])


def test_arrays_are_compared_by_their_numbers():
    whole = hashes.sha256_of_arrays([np.arange(3)])
    assert whole == hashes.sha256_of_arrays([np.arange(3.0)])
    assert whole != hashes.sha256_of_arrays([np.arange(3)[::-1]])
    near = [hashes.sha256_of_arrays([np.array(2**24 + more)]) for more in (0, 1)]
    assert near[0] != near[1], "float32 would not tell them apart"
