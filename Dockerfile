# The service: docker build -t stenograde . && docker run stenograde --help
FROM python:3.11-slim

WORKDIR /opt/stenograde
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src ./src
RUN python -m pip install --no-cache-dir -c constraints.txt '.[serve,postgresql]'
COPY docker/entrypoint.sh /usr/local/bin/stenograde-entrypoint

RUN useradd --system --uid 1000 --create-home stenograde \
    && install -d -o stenograde -g stenograde -m 0700 /var/lib/stenograde
USER stenograde
WORKDIR /home/stenograde
VOLUME /var/lib/stenograde

# DICOM, HTTP
EXPOSE 11112 11180
ENTRYPOINT ["stenograde-entrypoint"]
CMD ["serve"]
