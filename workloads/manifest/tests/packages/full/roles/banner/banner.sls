banner:
  file.managed: []
