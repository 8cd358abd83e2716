"""ItemBatcher: children that get several items each, as `{"BatchInput": {…}, "Items": […]}`
(docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html)."""

import json

LARGEST_INPUT_BYTES = 256 * 1024


class Batch(list):
    """The items of one child, with the place of the first of them in the map."""

    first = 0


class Batcher:
    """Cuts the items of a map into batches."""

    def __init__(self, template):
        self._template = template

    def cut(self, env, items: list) -> list[Batch]:
        """The batches, in order. MaxItemsPerBatch and MaxInputBytesPerBatch (the whole input of a child, 256 KiB at most) bound each."""
        given = self._template.value(env)
        self.batch_input = given.get("BatchInput")
        most = int(given.get("MaxItemsPerBatch") or 0) or len(items)
        bytes_left = int(given.get("MaxInputBytesPerBatch") or LARGEST_INPUT_BYTES)
        room = min(bytes_left, LARGEST_INPUT_BYTES) - len(json.dumps(self.wrap([]), separators=(",", ":")).encode())
        batches: list[Batch] = []
        size = 0
        for index, item in enumerate(items):
            cost = len(json.dumps(item, separators=(",", ":")).encode()) + 1
            if not batches or len(batches[-1]) >= most or size + cost > room:
                batches.append(Batch())
                batches[-1].first = index
                size = 0
            batches[-1].append(item)
            size += cost
        return batches

    def wrap(self, items: list) -> dict:
        """A child's input."""
        return {**({"BatchInput": self.batch_input} if self.batch_input is not None else {}), "Items": items}
