"""Operations: background maintenance and storage figures."""
