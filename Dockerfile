# One image for every processor and every one-shot command: `tidemill` and its arguments.
# The Python and C library are those the tests run on: another C library computes other last bits.
# The full image builds: it has the compiler that the optional extension wants.
ARG BUILDER=3.11-bookworm
ARG PYTHON=3.11-slim-bookworm

FROM python:${BUILDER} AS build
WORKDIR /src
RUN python -m venv /opt/tidemill
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY schemas ./schemas
# services/tidemill/schemas is a link to ../../schemas; a wheel holds the files themselves.
COPY services ./services
# Wheels alone for what it depends on; our own extension is compiled here.
# constraints.txt: the versions that the tests run with.
RUN /opt/tidemill/bin/pip install --no-cache-dir --disable-pip-version-check \
    --only-binary=:all: --constraint constraints.txt .

FROM python:${PYTHON}
COPY --from=build /opt/tidemill /opt/tidemill
ENV PATH=/opt/tidemill/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that `runAsNonRoot` can be checked; it owns nothing and writes nowhere.
USER 10001:10001
WORKDIR /etc/tidemill
EXPOSE 9464
ENTRYPOINT ["tidemill"]
CMD ["--help"]
