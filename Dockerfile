FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/numberkeep
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/numberkeep/bin/pip install --no-cache-dir ".[otel]"

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin numberkeep \
    && install --directory --owner=10001 --group=10001 --mode=700 /var/lib/numberkeep
COPY --from=build /opt/numberkeep /opt/numberkeep
ENV PATH=/opt/numberkeep/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/numberkeep
VOLUME /var/lib/numberkeep
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8001, timeout=5); c.request('GET', '/_numberkeep/health'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["numberkeep"]
CMD ["serve", "--host", "0.0.0.0"]
