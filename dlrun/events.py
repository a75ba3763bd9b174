"""What TensorBoard shows and torch's SummaryWriter has no method for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


def session_start(hparams: Mapping[str, Any]) -> Any:
    """The entry for HPARAMS in a run's own event file; add_hparams would start another folder.

    Every run writes the same names, a null where one does not apply. A list of columns is not
    written: TensorBoard would take that of any one run for all. Without it, it collects the
    columns from all runs, with their types, and puts first those in which the runs differ.
    """
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    session = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
    for name, value in hparams.items():
        if value is None:
            session.hparams[name].null_value = 0
        elif isinstance(value, bool):
            session.hparams[name].bool_value = value
        elif isinstance(value, (int, float)):
            session.hparams[name].number_value = value
        else:
            session.hparams[name].string_value = str(value)
    data = plugin_data_pb2.HParamsPluginData(session_start_info=session)
    return _hparams_value(metadata.SESSION_START_INFO_TAG, data)


def session_end(*, good: bool) -> Any:
    """The entry for HPARAMS that a run is over."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_SUCCESS if good else api_pb2.STATUS_FAILURE
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
    return _hparams_value(metadata.SESSION_END_INFO_TAG, data)


def _hparams_value(tag: str, data: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    return Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data))


def moving_picture(tag: str, gif: bytes, width: int, height: int) -> Any:
    """The entry for a GIF among the images; add_image would keep its first frame alone."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=gif)
    return Summary.Value(tag=tag, image=image)


def charts(line: Mapping[str, float | None]) -> dict[str, dict[str, list[Any]]]:
    """The layout of the tab Custom Scalars: training and validation on one chart.

    line: an epoch's figures; only what this run measures, since TensorBoard joins the layouts of
    all runs.
    """
    names = [name.removesuffix("/train") for name in line if name.endswith("/train")]
    layout = {name: ["Multiline", [f"{name}/train", f"{name}/val"]] for name in names}
    return {"training and validation": layout}
