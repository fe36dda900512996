"""Files by Spark's own file systems, so that `hdfs://` and other paths are as local ones. Only the driver can."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession


class Files:
    """Hadoop's file systems, with the settings of a Spark session."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._conf: Any = spark.sparkContext._jsc.hadoopConfiguration()

    def _path(self, path: str) -> Any:
        jvm: Any = self._spark.sparkContext._jvm
        return jvm.org.apache.hadoop.fs.Path(path)

    def _system(self, path: str) -> Any:
        return self._path(path).getFileSystem(self._conf)

    def whole(self, path: str) -> str:
        """The path with its scheme and from its root."""
        return str(self._system(path).makeQualified(self._path(path)).toString())

    def local(self, path: str) -> str | None:
        """The path as Python has it, if it is one of the local file system."""
        uri = self._system(path).makeQualified(self._path(path)).toUri()
        return str(uri.getPath()) if uri.getScheme() == "file" else None

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder."""
        return bool(self._system(path).exists(self._path(path)))

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return self.exists(path) and bool(self._system(path).getFileStatus(self._path(path)).isDirectory())

    def names(self, folder: str) -> list[str]:
        """Names in a folder."""
        return [str(it.getPath().getName()) for it in self._system(folder).listStatus(self._path(folder))]

    def read(self, path: str) -> str:
        """The text of a file."""
        stream = self._system(path).open(self._path(path))
        try:
            return bytes(stream.readAllBytes()).decode()
        finally:
            stream.close()

    def write(self, path: str, text: str) -> None:
        """Writes a file, and folders that it needs; a reader sees all of it or nothing."""
        folder, _, name = path.rpartition("/")
        partial = f"{folder}/.{name}.partial"
        stream = self._system(partial).create(self._path(partial), True)
        try:
            stream.write(bytearray(text.encode()))
        finally:
            stream.close()
        if not self._system(path).rename(self._path(partial), self._path(path)):
            raise OSError(f"{path}: could not be written: {partial} cannot be renamed")

    def remove(self, path: str) -> None:
        """Removes a file, or a folder with all that is in it."""
        self._system(path).delete(self._path(path), True)
